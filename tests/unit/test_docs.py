"""Markdown files: links and anchors lead somewhere, commands can be typed, quoted errors are real."""

import ast
import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from snakemake.cli import get_argument_parser

from graft.cli.main import app, one_by_one
from graft.io.markdown import slug

ROOT = Path(__file__).parents[2]
LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
PAGES = [ROOT / name for name in LISTED.split()]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMANDS = typer.main.get_command(app).commands
# Of documented commands the ends and joints; a redirection belongs to what stands before it.
JOINTS = ("&&", "||", "|", ";", "{", "}")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    return {slug(re.sub(r"\[(.*?)\]\(.*?\)", r"\1", h)) for h in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_and_anchors_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{target}: no such file"
        assert not anchor or anchor in anchors(file), f"{target}: no such heading"


def test_every_page_of_docs_is_linked_from_another():
    for page in (ROOT / "docs").glob("*.md"):
        assert any(f"{page.name}" in other.read_text() for other in PAGES if other != page), page


def commands(text: str) -> list[list[str]]:
    """The simple commands of all sh blocks, as words."""
    found: list[list[str]] = []
    for _, body in (block for block in FENCE.findall(text) if block[0] == "sh"):
        for line in body.replace("\\\n", " ").splitlines():
            # Joints of a shell that stand without blanks.
            words = shlex.split(re.sub(r"(?<=\S);(?= |$)", " ;", line), comments=True)
            found.append([])
            for word in words:
                if word in JOINTS:
                    found.append([])
                else:
                    found[-1].append(word)
    return [without_variables(words) for words in found if words]


def without_variables(words: list[str]) -> list[str]:
    while words and (words[0] == "time" or re.match(r"\w+=", words[0])):
        words = words[1:]
    return words


def check(words: list[str]) -> None:
    """Raise where a command of ours does not exist, or would not take its options."""
    match words:
        case ["snakemake", *arguments]:
            get_argument_parser().parse_args([word for word in arguments if word != "..."])
        case ["graft", name, *arguments] | ["python", "-m", "graft", name, *arguments]:
            assert name in COMMANDS, name
            COMMANDS[name].make_context(name, one_by_one(arguments))
        case ["python", "-m", module, *_]:
            assert find_spec(module), module
        case ["make", *targets]:
            known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(targets) <= set(known), targets
        case ["pytest", *arguments]:
            assert all((ROOT / name).exists() for name in arguments if not name.startswith("-")), arguments


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_can_be_typed(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(page.read_text()):
        try:
            check(words)
        except SystemExit:
            pytest.fail(f"not a command: {shlex.join(words)}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_named_in_sentences_exist(page):
    for name in re.findall(r"python -m graft ([\w-]+)", page.read_text()):
        assert name in COMMANDS, name
    for module in re.findall(r"python -m ((?:benchmarks|graft)\.[\w.]+)", page.read_text()):
        assert find_spec(module), module


def empty_cells(text: str) -> list[str]:
    """Rows of tables with a cell that says nothing; a row of headings may have an empty corner."""
    lines = text.splitlines()
    found = []
    for above, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            cells = [cell.strip(" *`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if any(cell in ("", "nan", "NaN", "None", "<NA>") for cell in cells[not above.startswith("|") :]):
                found.append(line)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_cell_of_a_table_is_empty(page):
    assert not empty_cells(prose(page))


def test_empty_cells_are_found():
    assert not empty_cells("| | a |\n|---|---|\n| b | `none` |\n| – | \\| |")
    for row in ("|  | 1 |", "| b | nan |", "| b | **None** |", "| b | |"):
        assert empty_cells(f"| | a |\n|---|---|\n{row}") == [row]
    assert empty_cells("| | a | |") == ["| | a | |"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, body in FENCE.findall(page.read_text()):
        if kind == "python":
            exec(compile(body, str(page), "exec"), {})


def test_wrong_commands_are_found():
    text = "```sh\nexport A=1; snakemake --no-such-option && python -m graft plan x --gpu a100 || true\n```\n"
    assert commands(text)[1:] == [
        ["snakemake", "--no-such-option"], ["python", "-m", "graft", "plan", "x", "--gpu", "a100"], ["true"],
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        check(["snakemake", "--no-such-option"])
    with pytest.raises(AssertionError):
        check(["python", "-m", "graft", "plant"])
    with pytest.raises(Exception, match="No such option"):
        check(["python", "-m", "graft", "plan", "--cpu", "x"])


def sentences() -> set[str]:
    """All texts in the code, with … for what is filled in."""
    found = set()
    for file in [*(ROOT / "graft").rglob("*.py"), *(ROOT / "workflow_scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
                found.add("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_error_of_the_faq_is_one_of_the_codes():
    quoted = re.findall(r"^### `(.*)`$", (ROOT / "docs" / "faq.md").read_text(), re.MULTILINE)
    known = sentences()
    assert len(quoted) > 15
    assert not [sentence for sentence in quoted if not any(sentence in text for text in known)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_figure_is_missing_from_a_table(page):
    rows = [line for line in page.read_text().splitlines() if line.startswith("|")]
    assert not [row for row in rows if re.search(r"\bnan\b", row, re.IGNORECASE)]
