"""Every benchmark can still be called; what it measures is not run here."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = [path.stem for path in sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_says_how_it_is_called(name, monkeypatch, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0 and "--help" in capsys.readouterr().out
