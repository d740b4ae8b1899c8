"""Place numbers beside points so that they cover no point, bar, line or other number, if there is room."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

SIZE = 6.5  # font size of the numbers, in points
# Angles (degrees) and radii (points) of a number's offset from its point: the nearest first, starting on the right.
_ANGLES = (0, 45, 315, 90, 270, 135, 225, 180, 22, 338, 67, 293, 113, 247, 158, 202)
_RADII = (7.5, 10, 13, 17, 22, 28, 35, 43)
# Beyond this radius a line connects a number to its point.
FAR = _RADII[1]

# Penalties, in square points of covered ink, for a place nearer to another point and for one outside the panel.
_MISREAD = 15.0
_OUTSIDE = 50.0

Box = tuple[float, float, float, float]  # left, bottom, right, top in points


@dataclass
class Page:
    """The bounds of a panel, its data points [x, y], and the boxes already taken, all in typographic points."""

    bounds: Box
    points: Sequence[tuple[float, float]]
    taken: list[Box] = field(default_factory=list)

    def beside(self, x: float, y: float, width: float, height: float) -> tuple[float, float]:
        """Take and return the nearest offset where a text of this size covers least, with its side to its point."""
        offsets = []
        for radius in (5.0, 9.0, 14.0, 20.0, 27.0, 35.0, 45.0, 57.0, 70.0):
            for angle in _ANGLES:
                along, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
                # Beside its point a text is centred on it, above and below it may stand to either side.
                offsets.append((radius * along + width / 2 * along, radius * up + height / 2 * up))

        def cost(dx: float, dy: float) -> float:
            box = around(x + dx, y + dy, width, height)
            covered = sum(_overlap(box, other) for other in self.taken)
            return covered + 0.4 * math.hypot(dx, dy) + 100 * _OUTSIDE * (not _inside(box, self.bounds))

        dx, dy = min(offsets, key=lambda offset: cost(*offset))
        self.taken.append(around(x + dx, y + dy, width, height))
        return dx, dy

    def place(self, x: float, y: float, text: str, of_line: bool = False) -> tuple[float, float]:
        """Take and return the nearest offset where a number covers least and is closest to its own point.

        The number of a line (`of_line`) is placed just above or below it, near its right end (x, y).
        """
        width, height = 0.66 * SIZE * len(text) + 1, SIZE + 0.5
        offsets = [(r * math.cos(math.radians(a)), r * math.sin(math.radians(a))) for r in _RADII for a in _ANGLES]
        if of_line:
            offsets = [(-6.0 - 9 * step, side * 6.0) for step in range(12) for side in (1, -1)]

        def cost(dx: float, dy: float) -> float:
            box = around(x + dx, y + dy, width, height)
            covered = sum(_overlap(box, other) for other in self.taken)
            nearest = min((math.hypot(x + dx - u, y + dy - v) for u, v in self.points), default=math.inf)
            misread = not of_line and nearest < math.hypot(dx, dy) - 0.5
            return covered + _MISREAD * misread + _OUTSIDE * (not _inside(box, self.bounds))

        dx, dy = min(offsets, key=lambda offset: cost(*offset))  # the first in case of ties
        self.taken.append(around(x + dx, y + dy, width, height))
        return dx, dy


def around(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(one: Box, other: Box) -> float:
    """The overlap of two boxes, in square points."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _inside(box: Box, bounds: Box) -> bool:
    return box[0] >= bounds[0] and box[1] >= bounds[1] and box[2] <= bounds[2] and box[3] <= bounds[3]
