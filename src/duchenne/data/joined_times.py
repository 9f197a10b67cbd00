"""What is reported where codes, trials or rows lie outside a recording."""

from __future__ import annotations

from collections.abc import Sequence

SLACK_S = 0.5
"""Times that reach beyond the recording by no more than this are how people write them down."""


def outside_note(
    what: str,
    spans: Sequence[tuple[float, float]],
    end: float,
    *,
    begin: float = 0.0,
    slack: float = SLACK_S,
    unit: str = "s",
) -> str | None:
    """Whether spans of time lie outside a recording, as one sentence without its name and without a full stop.

    Example:
        >>> outside_note("events", [(0.5, 1.0), (62.0, 63.0)], 2.0)
        '1 of 2 events lie outside the recording, which goes from 0.00 to 2.00 s (the first at 62.00 s)'

    Args:
        what: is counted: events, trials, rows.
        spans: onset and offset of each, from the start of the recording; of a moment twice the same.
        end: where the recording ends.
        begin: where it begins, or what is known of it.
        slack: by how much an onset or an offset may lie outside.
        unit: of the numbers, `s`; or `frames`, which are written as whole numbers.

    Returns:
        The sentence; None where all lie inside. One with its onset inside and its offset outside counts as outside:
        what is said of it rests on a part of it.
    """
    outside = [(onset, offset) for onset, offset in spans if onset < begin - slack or offset > end + slack]
    if not outside:
        return None
    form = "{:.0f}" if unit == "frames" else "{:.2f}"
    first, low, high = (form.format(value) for value in (min(outside)[0], begin, end))
    hint = "; times count from the start of the recording" if len(outside) == len(spans) else ""
    return (
        f"{len(outside)} of {len(spans)} {what} lie outside the recording, which goes from {low} to {high} {unit} "
        f"(the first at {first} {unit}){hint}"
    )
