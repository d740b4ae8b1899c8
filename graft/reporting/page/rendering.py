"""Render a report as one HTML page: text is escaped, figures and scripts are inlined, nothing is fetched."""

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
    """Render the page. Its content security policy allows only our scripts, by their hashes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"inline": inline_svg, "linked": linked, "breakable": breakable, "stacked": stacked}
    scripts = [(_DATATABLES / "dataTables.min.js").read_text(), (_TEMPLATES / "report.js").read_text()]
    return environment.get_template("report.html").render(
        contents=contents,
        # These files are Graft's own, not texts of a study.
        scripts=[Markup(script) for script in scripts],
        style=Markup((_TEMPLATES / "report.css").read_text()),
        hashes=[_hash(script) for script in scripts],
    )


def inline_svg(file: Path) -> Markup:
    """Prepare a matplotlib svg for inlining: without its header and metadata, and with ids unique in the page."""
    text = file.read_text()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    return Markup(re.sub(r'( id="|xlink:href="#|url\(#)', lambda match: f"{match[1]}{file.stem}.", text))


def linked(text: str) -> Markup:
    """Escape text, and turn arXiv numbers into links and text in backticks into code."""
    link = r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>'
    text = re.sub(r"arXiv (\d{4}\.\d{4,5})", link, str(escape(text)))
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", text))


def breakable(text: str) -> Markup:
    """Escape text, and allow a line break after every dot and slash, as long names of systems and runs need."""
    return Markup(re.sub(r"([./])(?=\D)", r"\1<wbr>", str(escape(text))))


def stacked(text: str) -> Markup:
    """Escape text, and allow a line break before an interval or a parenthesis, but nowhere else."""
    parts = re.split(r" (?=[\[(])", text)
    return (
        Markup(" ").join(Markup("<span>{}</span>").format(part) for part in parts) if len(parts) > 1 else escape(text)
    )


def _hash(script: str) -> str:
    """The hash of an inline script in the form of a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
