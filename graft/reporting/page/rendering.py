"""A report's contents as one HTML page: text is escaped, figures and scripts stand inside, nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from graft.reporting.page.contents import Contents

_HERE = Path(__file__).parent
_DATATABLES = _HERE.parent / "vendor" / "datatables"
_TEMPLATES = _HERE.parent / "templates"


def render(contents: Contents) -> str:
    """The page. Scripts that are not ours, by their hash, the browser refuses to run."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"inline": inline_svg, "linked": linked, "breakable": breakable}
    scripts = [(_DATATABLES / "dataTables.min.js").read_text(), (_TEMPLATES / "report.js").read_text()]
    return environment.get_template("report.html").render(
        contents=contents,
        # These are files of ours, not a study's texts.
        scripts=[Markup(script) for script in scripts],
        style=Markup((_TEMPLATES / "report.css").read_text()),
        hashes=[_hash(script) for script in scripts],
    )


def inline_svg(file: Path) -> Markup:
    """A figure that matplotlib wrote, as it may stand in a page: without its head, and with ids that are its own."""
    text = file.read_text()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    prefix = file.stem
    text = re.sub(r'( id="|xlink:href="#|url\(#)', lambda match: f"{match[1]}{prefix}.", text)
    return Markup(text)


def linked(text: str) -> Markup:
    """Escaped text in which arXiv numbers are links, and what stands in backticks is code."""
    link = r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>'
    text = re.sub(r"arXiv (\d{4}\.\d{4,5})", link, str(escape(text)))
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", text))


def breakable(text: str) -> Markup:
    """Escaped text that may go on in a new line behind every dot and slash, as names of systems and runs must."""
    return Markup(re.sub(r"([./])(?=\D)", r"\1<wbr>", str(escape(text))))


def _hash(script: str) -> str:
    """Of an inline script, as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
