"""The demonstration: the whole main job on synthetic faces, with a page to look at."""
