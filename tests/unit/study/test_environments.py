"""requirements.txt and envs/*.yaml: exact, and one with the other."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import MatchSpec

ROOT = Path(__file__).parents[3]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


def requirements() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def dependencies(path: Path) -> tuple[list[str], list[str]]:
    given = yaml.safe_load(path.read_text())["dependencies"]
    pip = next(entry["pip"] for entry in given if isinstance(entry, dict))
    return [entry for entry in given if isinstance(entry, str)], pip


def brought_along(names: set[str]) -> set[str]:
    """Canonical names of these packages and of all that they depend on, as installed here."""
    found: set[tuple[str, frozenset[str]]] = set()
    left = {(canonicalize_name(name), frozenset[str]()) for name in names}
    while left:
        name, extras = left.pop()
        found.add((name, extras))
        for needed in map(Requirement, importlib.metadata.requires(name) or []):
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                left |= {(canonicalize_name(needed.name), frozenset(needed.extras))} - found
    return {name for name, _ in found}


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
def test_what_the_pins_bring_along_is_pinned_too_where_the_requirements_pin_it(path):
    """In each file, as none can name another: Snakemake copies it elsewhere before conda reads it."""
    named = {canonicalize_name(line.split("==")[0]) for line in dependencies(path)[1]}
    assert brought_along(named) & set(map(canonicalize_name, requirements())) == named


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.post-deploy.sh")), ids=lambda path: path.stem)
def test_post_deploy_scripts_install_pins_into_the_environment_beside_them(path, tmp_path):
    (tmp_path / "x_" / "bin").mkdir(parents=True)
    python, script = tmp_path / "x_" / "bin" / "python", tmp_path / "x_.post-deploy.sh"
    python.write_text('#!/bin/sh\necho "$@"')
    python.chmod(0o755)
    script.write_bytes(path.read_bytes())
    said = subprocess.run(["sh", script], cwd="/", capture_output=True, text=True, check=True).stdout
    assert "--no-deps" in said
    name, version = said.split()[-1].split("==")
    assert requirements()[name] == version


@pytest.mark.parametrize("environment", ["head", "analysis"])
def test_an_environment_without_torch_has_programs_that_import_none(environment):
    torch = {"torch", "transformers", "accelerate"}
    assert (
        not brought_along({line.split("==")[0] for line in dependencies(ROOT / f"envs/{environment}.yaml")[1]}) & torch
    )
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules = [rule for rule in re.split(r"\n(?=rule |use rule )", text) if f"envs/{environment}.yaml" in rule]
    names = re.findall(r'program\("(\w+)|-m workflow_scripts\.(\w+)', "".join(rules))
    programs = [f"workflow_scripts.{one or other}" for one, other in names]
    assert len(programs) == len(rules) > 1
    code = f"import sys, {', '.join(programs)}; print(*{torch} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


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
