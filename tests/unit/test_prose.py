"""The text of code and docs avoids turns that read as translated; each comes with a better way to say it."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTED = (
    "graft/*.py",
    "rules/*.smk",
    "workflow_scripts/*.py",
    "*.md",
    "config.yaml",
    "config/*.yaml",
    "profiles/*.yaml",
)
BETTER = {
    r"\b(is|are|be|been|was) told\b": "is reported, is asked",
    r"\btold (apart|from)\b": "distinguished, inferred",
    r"\bso many\b": "a number, or `that many`",
    r"\bin so many words\b": "literally",
    r"\b(is|are|was) had\b": "there is, is available",
    r"\b(known|supported|there) are (?=\{)": "available: …",
    r"\b(is|are) there already\b": "already exists, already exist",
    r"\bstands? (twice|in the|where)\b": "appears, is in, is used as",
    r"\bstands? (in )?for (itself|no label)\b": "means",
    r"\bin (its|their) place\b": "instead",
    r"\bin the place of\b": "instead of, replacing",
    r"\b(inside|outside) of\b": "inside, outside",
    r"\bof (one's|its|their) own(?! use)\b": "its own, separate, or nothing",
    r"\b(is|are) no (number|tensor|folder|file|text|name|model|class)\b": "is not a …",
    r"\bbelongs? to no\b": "does not belong to any",
    r"\bholds? (no|only|the|a|an|values|weights)\b.{0,20}\b(values?|keys?|text|folder|file|model)": "contains",
    r"\bmust be as many\b": "must be equal",
    r"\bgo(es)? on from\b": "resumes from, continues after",
    r"\btakes? turns\b": "one after the other",
    r"\b(is|are) asked for\b": "is requested",
    r"\bof no effect\b": "has no effect",
    r"\bis to be done\b": "there is nothing to do",
    r"\bmade anew\b": "made again, rebuilt",
    r"\bnot known of\b": "unknown about",
    r"\bsays nothing of\b": "carries no information about",
}
TURNS = {re.compile(turn, re.IGNORECASE): better for turn, better in BETTER.items()}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of docstrings, strings and comments in code; of prose outside code blocks in Markdown."""
    source = path.read_text()
    if path.suffix == ".md":
        prose = re.sub(
            r"^```.*?^```$", lambda block: "\n" * block[0].count("\n"), source, flags=re.DOTALL | re.MULTILINE
        )
        yield from enumerate(re.sub(r"`[^`\n]*`", "`…`", prose).splitlines(), 1)
    elif path.suffix != ".py":
        yield from ((i, line.partition("#")[2]) for i, line in enumerate(source.splitlines(), 1))
    else:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from enumerate(node.value.splitlines(), node.lineno)


def slips(path: Path) -> list[str]:
    """One line per banned turn in a file: place, turn and a better way to say it."""
    name, found = path.relative_to(ROOT), []
    for line, text in texts(path):
        found += [
            f"{name}:{line}: {m[0]!r}; say: {better}" for turn, better in TURNS.items() if (m := turn.search(text))
        ]
    if path.suffix == ".py":
        nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        for node in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, nodes)):
            if (ast.get_docstring(node) or "").startswith("What "):
                found.append(f"{name}:{node.body[0].lineno}: docstring begins with What; begin with a verb or a noun")
    return found


def test_prose_reads_as_native_english():
    listed = subprocess.run(["git", "ls-files", *LISTED], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split()]
    assert len(paths) > 150
    found = [slip for path in paths for slip in slips(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.py", "# Bad input is told in one line.\n"),
        ("x.py", 'def f():\n    """What a model holds."""\n'),
        ("x.py", 'raise ValueError(f"{x} is there already")\n'),
        ("x.md", "Studies take turns.\n"),
        ("x.yaml", "steps: 1  # so many steps\n"),
    ],
)
def test_slips_are_found(tmp_path, monkeypatch, name, text):
    monkeypatch.setattr("tests.unit.test_prose.ROOT", tmp_path)
    (tmp_path / name).write_text(text)
    assert len(slips(tmp_path / name)) == 1
