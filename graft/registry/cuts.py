"""Where two models can be cut and stitched together. Imports no torch."""

from typing import NamedTuple

from graft.registry import depth

DIRECTIONS = ("small_to_large", "large_to_small")


class Cut(NamedTuple):
    """The model that reads the text runs its first `below` layers, the other one all but its first `above`."""

    direction: str
    below: int
    above: int

    @property
    def name(self) -> str:
        """The layers that each model runs, counted from 1: `small 1-2, large 5-`."""
        first, second = self.roles
        return f"{first} 1-{self.below}, {second} {self.above + 1}-"

    @property
    def number(self) -> int:
        """Number of small layers that run first, or minus the number of small layers that large ones replace."""
        return self.below if self.direction == DIRECTIONS[0] else -self.above

    @property
    def roles(self) -> tuple[str, str]:
        """The model that reads the text, and the one that continues."""
        return ("small", "large") if self.direction == DIRECTIONS[0] else ("large", "small")

    def layer_of(self, role: str) -> int:
        """Number of layers of a model below the cut."""
        return self.below if role == self.roles[0] else self.above


def cuts(small_layers: int, large_layers: int, direction: str = "both") -> list[Cut]:
    """Return all cuts: after each small layer but the last, and the large layer of the same depth (`depth.uniform`).

    `small_to_large` starts in the small model, `large_to_small` in the large one, `both` returns the cuts of both.
    Raises ValueError if the small model has a single layer or is deeper than the large one.
    """
    if small_layers < 2:
        raise ValueError("stitch: the small model has 1 layer; it needs 2 or more, so that it can be cut between them")
    mapped = [(m + 1, g + 1) for m, g in depth.uniform(small_layers, large_layers)[:-1]]
    sides = {"small_to_large": mapped, "large_to_small": [(g, m) for m, g in mapped]}
    chosen = DIRECTIONS if direction == "both" else (direction,)
    return [Cut(direction, *cut) for direction in chosen for cut in sides[direction]]
