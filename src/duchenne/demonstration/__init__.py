"""The demonstration: the whole main job on synthetic faces, with a page to look at."""

from typing import Final

SUBJECTS: Final = 170
"""People to learn from; a quarter of them is a test split, which no training sees."""
CLIPS: Final = 8
"""Of each person."""
STEPS: Final = 165
"""Of pretraining, with and without action units: 31,680 pictures each."""
LABELLED_STEPS: Final = 520
"""Of the training with labels: 33,280 pictures."""
