"""Tables that fit a terminal: cells are folded or columns dropped, but no word, name or number is broken."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

_BETWEEN = 2  # characters between two columns, and of the indent under a name
_FEWEST = 24  # minimum width of a value beside its heading; a narrower one goes below it


@dataclass(frozen=True)
class Column:
    """A column. `dropped`: its rank in the order in which columns are dropped for lack of room, 0 for never; `least`:
    the width below which folded text is hard to read."""

    heading: str = ""
    right: bool = False
    dropped: int = 0
    least: int = 0


class Fitted:
    """A table as wide as its text if that fits.

    Otherwise its cells are folded between words; failing that, each row's first cell gets a separate line and columns
    are dropped; failing that, every cell gets one. `spaced`: separate rows by an empty line if any cell is folded.
    """

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]], spaced: bool = False) -> None:
        self._columns, self._spaced = list(columns), spaced
        # Text objects, since rich would parse square brackets in a plain string as markup.
        self._rows = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width, everything = options.max_width, list(range(len(self._columns)))
        first, others = everything[:1], everything[1:]
        leaving = sorted((n for n in others if self._columns[n].dropped), key=lambda n: self._columns[n].dropped)
        if self._needed(everything) <= width:
            yield from self._table([], everything, width)
            return
        while self._needed(others) > width - _BETWEEN and leaving:
            others.remove(leaving.pop(0))
        if self._needed(others) > width - _BETWEEN:
            yield from self._stacked(width)
            return
        yield from self._table(first, others, width)
        left_out = [self._columns[number].heading for number in everything[1:] if number not in others]
        if left_out:
            yield from _folded(Text(f"not shown for lack of space: {', '.join(left_out)}", style="dim"), width)

    def _widths(self, number: int) -> tuple[int, int]:
        """The least width of a column, and the width of its longest line."""
        cells = [self._columns[number].heading, *(row[number].plain for row in self._rows)]
        lines = [line for cell in cells for line in cell.splitlines()]
        whole = max((cell_len(line) for line in lines), default=0)
        word = max((cell_len(word) for line in lines for word in line.split()), default=0)
        return min(max(word, self._columns[number].least), whole), whole

    def _needed(self, shown: Sequence[int]) -> int:
        return sum(self._widths(number)[0] for number in shown) + _BETWEEN * (len(shown) - 1)

    def _table(self, above: Sequence[int], shown: Sequence[int], width: int) -> Iterator[Text]:
        """Lay out the `shown` columns; cells of the columns `above` get separate lines before their row."""
        indent = " " * _BETWEEN if above else ""
        limits = [self._widths(number) for number in shown]
        widths = shared_out(limits, width - len(indent) - _BETWEEN * (len(shown) - 1))
        folded = bool(above) or any(most > given for (_, most), given in zip(limits, widths, strict=True))

        def lines(cells: Sequence[Text]) -> Iterator[Text]:
            yield from (_whole(cells[number]) for number in above)
            parts = [_folded(cells[number], given) for number, given in zip(shown, widths, strict=True)]
            for place in range(max(map(len, parts), default=0)):
                line = Text(indent)
                for number, part, given in zip(shown, parts, widths, strict=True):
                    text = part[place] if place < len(part) else Text()
                    text.align("right" if self._columns[number].right else "left", given)
                    line.append_text(text).append(" " * _BETWEEN)
                yield _whole(line)

        if any(column.heading for column in self._columns):
            yield from lines([Text(column.heading, style="bold") for column in self._columns])
            yield Text("─" * min(width, len(indent) + sum(widths) + _BETWEEN * (len(shown) - 1)))
        for number, row in enumerate(self._rows):
            if number and folded and self._spaced:
                yield Text()
            yield from lines(row)
        yield Text()

    def _stacked(self, width: int) -> Iterator[Text]:
        label = max((len(column.heading) for column in self._columns[1:]), default=0) + _BETWEEN
        beside = width - label - _BETWEEN >= _FEWEST
        for row in self._rows:
            yield _whole(row[0] if row[0].style else Text(row[0].plain, style="bold"))
            for column, cell in zip(self._columns[1:], row[1:], strict=True):
                start = f"  {column.heading:<{label}}" if beside else "    "
                if not beside and column.heading and cell.plain:
                    yield _whole(Text(f"  {column.heading}:"))
                for line in _folded(cell, width - len(start)):
                    yield _whole(Text(start).append_text(line))
                    start = " " * len(start)
        yield Text()


class Prose:
    """Text folded between words; a word longer than a line stays whole, so that it can be copied."""

    def __init__(self, text: str, style: str = "") -> None:
        self._text = Text(text, style=style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield from _folded(self._text, options.max_width)


def shared_out(limits: Sequence[tuple[int, int]], width: int) -> list[int]:
    """Share out a width among columns, given the least and the most that each can use; small requests come first."""
    given = [least for least, _ in limits]
    spare = width - sum(given)
    wanting = sorted((most - least, number) for number, (least, most) in enumerate(limits))
    for place, (wanted, number) in enumerate(wanting):
        more = min(wanted, spare // (len(wanting) - place))
        given[number] += more
        spare -= more
    return given


def _folded(text: Text, width: int) -> list[Text]:
    """Break a text into lines, between words only."""
    return [_whole(part) for line in text.split("\n") for part in line.divide(_breaks(line.plain, width))]


def _breaks(line: str, width: int) -> Iterator[int]:
    """Yield the positions at which to break a line."""
    filled = 0
    for found in re.finditer(r"(\s*)(\S+)", line):
        if filled and filled + cell_len(found[0]) > width:
            yield found.start(2)
            filled = 0
        filled += cell_len(found[2] if not filled else found[0])


def _whole(line: Text) -> Text:
    """Mark a line so that rich neither folds nor crops it."""
    line.rstrip()
    line.no_wrap, line.overflow = True, "ignore"
    return line
