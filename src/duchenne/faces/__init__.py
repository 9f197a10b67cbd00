"""Vision primitives for faces: decode, find, follow, align, judge; nothing here knows data sets or prepared data."""
