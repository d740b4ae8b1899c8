import os

import pytest

from graft.config.launch import Launch
from graft.measuring.rates import measure
from graft.registry.rates import Rates
from graft.registry.shapes import Shape

NARROW, WIDE = Shape(1, 8, 2, 16, 50, positions=64), Shape(2, 16, 2, 32, 50, positions=64)


def test_every_width_gets_a_rate_of_every_kind_and_nothing_is_left(tmp_path):
    found = measure(Launch(device="cpu", precision="fp32"), [WIDE, NARROW, NARROW], tmp_path / "study")
    assert set(found.flops) == {"training fp32", "inference", "closed form"}
    for rates in found.flops.values():
        assert [*rates] == [8, 16] and all(rate > 0 for rate in rates.values())
    assert found.device == "cpu" and found.saving > 0 and f"of {os.cpu_count()} cores" in found.machine
    assert [*(tmp_path / "study").iterdir()] == []
    found.write(tmp_path / "rates.json")
    assert Rates.read(tmp_path / "rates.json") == found


def test_without_a_known_shape_nothing_can_be_measured(tmp_path):
    with pytest.raises(ValueError, match="no model's shape is known yet"):
        measure(Launch(device="cpu"), [], tmp_path)
