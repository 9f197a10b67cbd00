"""Codes of coders, from tables and from the exports of coding programs, laid onto the frames of recordings."""
