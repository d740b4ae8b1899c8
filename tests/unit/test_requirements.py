"""pyproject.toml, requirements.txt: what is installed by range is what is tested by pin."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_range_has_its_pin():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    extras = PROJECT["optional-dependencies"]
    assert extras.keys() == {"workflow", "figures", "deepspeed", "docs", "trackers"}
    wanted = [Requirement(text) for texts in (PROJECT["dependencies"], *extras.values()) for text in texts]
    for one in wanted:
        assert one.name == "graft" and one.extras < extras.keys() or pins[one.name.lower()] in one.specifier, str(one)
