"""requirements.txt and envs/*.yaml: exact, and one with the other."""

import re
from pathlib import Path

import pytest
import yaml
from rattler import MatchSpec

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


def requirements() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def dependencies(path: Path) -> tuple[list[str], list[str]]:
    given = yaml.safe_load(path.read_text())["dependencies"]
    pip = next(entry["pip"] for entry in given if isinstance(entry, dict))
    return [entry for entry in given if isinstance(entry, str)], pip


def test_there_is_one_environment_per_kind_of_work():
    assert [path.stem for path in ENVIRONMENTS] == ["analysis", "head", "merge", "train"]


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_pins_are_exact_and_equal_to_the_requirements(path):
    pinned = requirements()
    _, pip = dependencies(path)
    assert pip
    for line in pip:
        name, version = line.split("==")
        assert pinned[name] == version, line


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_conda_understands_every_line(path):
    conda, _ = dependencies(path)
    for line in conda:
        MatchSpec(line, strict=True)


def test_every_rule_with_a_program_names_an_environment_that_exists():
    for path in (ROOT / "rules").glob("*.smk"):
        text = path.read_text()
        rules = re.split(r"\n(?=rule |use rule )", text)
        assert all("conda:" in rule for rule in rules if "shell:" in rule), path.name
        for line in text.splitlines():
            if line.strip().startswith('"../envs/'):
                assert (path.parent / line.strip().strip('",')).is_file(), line


def test_no_pin_names_a_build_so_that_gpu_users_get_cuda():
    assert requirements()["torch"] == "2.13.0"
    for path in ENVIRONMENTS:
        for line in dependencies(path)[1]:
            assert "+" not in line, f"{path.name}: {line}"
