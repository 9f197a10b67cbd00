"""The demonstration: the whole main job on synthetic faces, with a page to look at."""

from typing import Final

STEPS: Final = 100
"""Of pretraining: the recipe's 150 do not fit five minutes on two cores."""
