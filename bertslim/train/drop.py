"""How far a metric may fall."""

ROUNDING = 1e-9
"""0.90 - 0.89 is a little more than 0.01 to a computer."""


def within(before: float, after: float, most: float) -> bool:
    """Whether a metric fell by no more than it may; a drop of exactly that is allowed."""
    return before - after <= most + ROUNDING
