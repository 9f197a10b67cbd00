"""One rising time line for a recording, counted from its start as players show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_DIGITS: Final = 9
"""Of times: what subtracting the start leaves behind them (0.39999999999999991) would push frames out of stretches."""
_BACK_STEPS: Final = 1.5
"""Stamps that go back by more than this many frames begin a new stretch; less is the rounding of the container."""
LONGEST_GAP_S: Final = 10.0
"""In broadcast formats, whose clock may start over at any time, a longer gap is such a start (as FFmpeg takes it). In
others it is what it says: a camera that was paused, a conference that sent no picture."""


@dataclass(frozen=True)
class Jump:
    """A place where the recording's own clock does not go on.

    Attributes:
        frame: the first frame behind it.
        time_s: of that frame, as given.
        before_s: stamp of the frame before, from the start. after_s: stamp of this frame.
    """

    frame: int
    time_s: float
    before_s: float
    after_s: float


@dataclass
class Clock:
    """Turns the stamps of a container into times that start at its start and always rise.

    Attributes:
        start_s: what the recording's own clock says at its start; None until the first stamp where the container
            does not say. Times count from there.
        step_s: how long a frame is shown: by the rate at first, then as last seen.
        jumps_forward: whether gaps of over `LONGEST_GAP_S` are jumps of the clock.
        jumps: where the clock does not go on; times do, one frame later.
        frames: given so far.
        time_s: of the latest frame.
        longest_s: the longest step that was accepted.
    """

    start_s: float | None
    step_s: float
    jumps_forward: bool = False
    jumps: list[Jump] = field(default_factory=list)
    frames: int = 0
    time_s: float = 0.0
    longest_s: float = 0.0
    _shift_s: float = 0.0
    _stamp_s: float | None = None
    _nominal_s: float = 0.0
    _anchor: tuple[int, float] = (0, 0.0)

    def next(self, stamp_s: float | None) -> float:
        """The time of the next frame.

        Args:
            stamp_s: as the container has it, None where it has none.
        """
        number, before_s, last_s = self.frames, self.time_s, self._stamp_s
        self._nominal_s = self._nominal_s or self.step_s
        self.frames += 1
        if stamp_s is None or (number and stamp_s == last_s):  # counted on, without adding up rounding errors
            first, first_s = self._anchor
            self.time_s = round(first_s + (number - first) * self._nominal_s, _DIGITS)
            return self.time_s
        if self.start_s is None or (not number and stamp_s < self.start_s):
            self.start_s = stamp_s
        self._stamp_s = stamp_s
        time_s = stamp_s - self.start_s + self._shift_s
        if number:
            moved_s = 0.0 if last_s is None else stamp_s - last_s
            back = time_s <= before_s and moved_s < -_BACK_STEPS * self._nominal_s
            if back or (self.jumps_forward and moved_s > LONGEST_GAP_S):
                time_s = before_s + self._nominal_s
                self._shift_s = time_s - (stamp_s - self.start_s)
                self.jumps.append(Jump(number, time_s, (last_s or 0.0) - self.start_s, stamp_s - self.start_s))
            elif time_s <= before_s:
                time_s = before_s + self._nominal_s / 2
            else:
                self.longest_s = max(self.longest_s, time_s - before_s)
                if time_s - before_s < LONGEST_GAP_S:
                    self.step_s = time_s - before_s
        self._anchor = (number, time_s)
        self.time_s = round(time_s, _DIGITS)
        return self.time_s

    def sentence(self) -> str | None:
        """What a user should know of the jumps; None where there are none."""
        if not self.jumps:
            return None
        first = self.jumps[0]
        more = f" and {len(self.jumps) - 1} more" if len(self.jumps) > 1 else ""
        return (
            f"its clock jumps from {first.before_s:.2f} to {first.after_s:.2f} s at frame {first.frame}{more}; "
            f"times go on from there (frame {first.frame} is at {first.time_s:.2f} s)"
        )
