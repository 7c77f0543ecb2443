"""Pictures of a comparison: what each millisecond buys, what a batch costs, where the time goes."""

from bertslim.runtime.picture.batches import draw_batches
from bertslim.runtime.picture.breakdown import draw_breakdown
from bertslim.runtime.picture.svg import as_svg
from bertslim.runtime.picture.tradeoff import draw, draw_tradeoff

__all__ = ["as_svg", "draw", "draw_batches", "draw_breakdown", "draw_tradeoff"]
