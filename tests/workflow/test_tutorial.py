"""docs/tutorial.md, followed to the letter: every command in order, and what it prints.

The demo that it starts from has a pico model in MiniLM's place: what is printed differs in numbers only, and MiniLM's
own numbers are test_demo.py's.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from graft.config.study import load
from tests.conftest import write_bert
from tests.workflow.conftest import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = "==== step {} ended"
# What differs between machines and hours: numbers, the star of the Pareto front, the width of tables.
VARIABLE = ((r"[-+−]?\d[\d,.:]*(e[-+]?\d+)?%?", "#"), (r" \*|[━─—]+", " "), (r"\s+", " "))


@dataclass(frozen=True)
class Step:
    """Commands to type, and the text that is shown as their output ("" where none is)."""

    commands: str
    shown: str = ""


def steps(text: str) -> list[Step]:
    found: list[Step] = []
    for kind, body in BLOCK.findall(text):
        if kind == "sh":
            found.append(Step(body))
        else:
            found[-1] = Step(found[-1].commands, body)
    return found


def essence(line: str) -> str:
    for pattern, replacement in VARIABLE:
        line = re.sub(pattern, replacement, line)
    return line.strip()


def missing_lines(shown: str, printed: str) -> list[str]:
    """Lines of `shown` that are not in `printed`, in that order; … stands for lines, or a line's end, left out."""
    there = iter([essence(line) for line in printed.splitlines()])
    wanted = [line for line in shown.splitlines() if essence(line) not in ("", "…")]
    return [line for line in wanted if not any(_is_same(essence(line), other) for other in there)]


def _is_same(shown: str, printed: str) -> bool:
    return printed.startswith(shown.removesuffix("…").rstrip()) if shown.endswith("…") else printed == shown


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of this checkout as git would clone it, its .venv made of this one's parts."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    (folder / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != "installed":
            (folder / ".venv" / part.name).symlink_to(part)
    # For make, newer than the pins.
    (folder / ".venv" / "installed").touch()
    make_small(folder / "config" / "demo.yaml", folder / "pico")
    return folder


def make_small(demo: Path, model: Path) -> None:
    """Put a BERT of three layers, with MiniLM's tokenizer, in the demo's MiniLM's place; nothing else is changed."""
    values = yaml.safe_load(demo.read_text())
    minilm = load(demo).models["minilm"].source
    package = Path(importlib.util.find_spec(minilm.package).origin).parent / minilm.folder
    vocabulary = (package / "vocab.txt").read_text().splitlines()
    write_bert(model, layers=3, width=24, heads=12, seed=0, vocabulary=vocabulary, positions=512)
    values["models"]["minilm"]["source"] = {"kind": "path", "folder": str(model)}
    values["models"]["small"]["source"]["shape"] = {"layers": 2, "width": 12, "heads": 12, "ffn": 24}
    demo.write_text(yaml.safe_dump(values, sort_keys=False))


@pytest.fixture(scope="module")
def printed(checkout) -> list[str]:
    """The output of each step of the tutorial, all typed into one terminal."""
    script = "".join(f"{step.commands}echo '{MARK.format(n)}'\n" for n, step in enumerate(steps(TUTORIAL.read_text())))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    outputs = re.split(r"^==== step \d+ ended\n", done.stdout, flags=re.MULTILINE)
    return outputs[:-1]


def test_every_command_works_and_prints_what_the_tutorial_shows(printed):
    followed = steps(TUTORIAL.read_text())
    assert len(printed) == len(followed) > 10
    told = [
        f"after\n{step.commands}\nmissing\n{chr(10).join(missing)}\nin\n{output}"
        for step, output in zip(followed, printed, strict=True)
        if (missing := missing_lines(step.shown, output))
    ]
    assert not told, "\n\n".join(told)


def test_the_tutorials_files_are_where_it_says(printed, checkout):
    named = set(re.findall(r"`((?:results|config|docs|data)/[\w./*=-]+)`", TUTORIAL.read_text()))
    assert named
    for pattern in named:
        assert list(checkout.glob(pattern)), pattern


def test_what_a_text_block_shows_is_looked_for_in_order():
    printed = "one  0.123 *\ntwo 5 rows\nthree"
    assert missing_lines("one …\ntwo 5 …\n", printed) == []
    assert missing_lines("one 0.456\n…\nthree\n", printed) == []
    assert missing_lines("three\none 1\n", printed) == ["one 1"]
    assert missing_lines("two 5 lines\n", printed) == ["two 5 lines"]


def test_a_text_block_is_what_the_commands_above_it_print():
    assert [s.shown for s in steps("```sh\na\n```\ntext\n```text\nout\n```\n```sh\nb\n```\n")] == ["out\n", ""]
