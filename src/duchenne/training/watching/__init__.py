"""How a training goes: what is measured beside the loss, loggers of other programs, and the curves as a page."""
