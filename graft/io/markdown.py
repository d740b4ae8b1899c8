"""Write GitHub's Markdown."""

import re
from collections.abc import Iterable, Sequence


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def link(heading: str, text: str) -> str:
    """Return a link to a heading of the same page."""
    return f"[{text}](#{slug(heading)})"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; white space in cells, line breaks included, becomes single spaces, an empty cell a dash."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) or '–' for text in line)} |" for line in lines)


def page(*parts: str) -> str:
    """Join paragraphs, headings and tables into the text of a file."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def prose(text: str) -> str:
    """Escape `<name>` outside code, so that it is not read as HTML."""
    code = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub("<(?=[a-z])", "&lt;", part) for part in code)


def _cell(text: str) -> str:
    return prose(" ".join(text.split())).replace("|", r"\|")
