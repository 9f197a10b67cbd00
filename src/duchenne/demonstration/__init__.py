"""The demonstration: the whole main job on synthetic faces, with a page to look at."""

from typing import Final

STEPS: Final = 250
"""Of pretraining, with and without action units: 48,000 pictures each."""
LABELLED_STEPS: Final = 1000
"""Of the training with labels: 64,000 pictures."""
