"""Every benchmark still loads, and says how it is called; what it measures is not run here."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = [path.stem for path in sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_loads_and_says_how_it_is_called(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert callable(module.main) and f"python -m benchmarks.{name}" in module.__doc__
