"""Faces in images and videos: decode, find, track, align, prepare."""
