"""Triplet loss on one triplet per sequence; a baseline of temporal ranking."""
