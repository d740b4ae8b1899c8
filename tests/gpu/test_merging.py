"""Merges of one shape that factorise on a GPU equal those of the CPU; cost is read from the GPU."""

import time

import numpy as np
import pytest
import torch

from graft.compute import energy
from graft.measuring import memory
from graft.merging.homogeneous.regmean import GRAM
from graft.registry import methods
from tests.unit.merging.homogeneous import making


@pytest.mark.parametrize("method", ["iso_c", "tsv", "regmean"])
def test_a_gpu_merges_as_a_cpu_does(method, tmp_path):
    base = making.tensors(0)
    making.write(tmp_path / "base", base)
    changes = {}
    for i in (1, 2, 3):
        making.write(tmp_path / f"m{i}", making.tensors(i, 0.1, base))
        making.statistics(tmp_path / "gram" / f"m{i}", GRAM, i)
    if methods.facts(method).statistics:
        changes["statistics"] = tuple(tmp_path / "gram" / f"m{i}" for i in (1, 2, 3))
    models = [tmp_path / f"m{i}" for i in (1, 2, 3)]
    cpu, gpu = (
        making.merged(tmp_path / device, method, models, tmp_path / "base", device=device, **changes)
        for device in ("cpu", "cuda")
    )
    assert all(np.allclose(cpu[name], gpu[name], rtol=1e-4, atol=1e-5) for name in cpu)
    assert any(not np.array_equal(cpu[name], base[name]) for name in cpu)


def test_peak_memory_holds_the_weights():
    def load():
        layer = torch.nn.Linear(2000, 2000, device="cuda")
        return lambda batch: layer(batch["x"])

    peak = memory.peak_bytes(load, [{"x": torch.ones(3, 2000, device="cuda")}], "cuda")
    assert 16e6 < peak < 40e6


def test_a_gpu_that_computes_takes_energy():
    meter = energy.meter("cuda")
    assert meter is not None
    before, started = meter.joules(), time.perf_counter()
    a = torch.randn(8192, 8192, device="cuda")
    while time.perf_counter() - started < 2:
        a @ a
        torch.cuda.synchronize()
    watts = (meter.joules() - before) / (time.perf_counter() - started)
    assert 50 < watts < 1500
