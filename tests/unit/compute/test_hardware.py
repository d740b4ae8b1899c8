import subprocess
import sys

import pytest

from graft.compute import hardware
from graft.compute.energy import Rapl
from graft.config.launch import Launch


def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert hardware.device_of(Launch(device="auto")) == "cpu"
    with pytest.raises(ValueError, match="torch sees no GPU"):
        hardware.device_of(Launch(device="cuda"))
    assert hardware.device_of(hardware.on_cpu(Launch(device="cuda"))) == "cpu"


def test_precision_is_what_was_asked_for():
    assert hardware.precision_of(Launch(precision="fp32", device="cpu")) == "fp32"
    assert hardware.precision_of(Launch(precision="auto", device="cpu")) in ("fp32", "bf16")


CPU = Launch(device="cpu", precision="fp32")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A CPU package whose counter says one joule."""
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    for name, text in (("name", "package-0"), ("max_energy_range_uj", "9000000"), ("energy_uj", "1000000")):
        (zone / name).write_text(text)
    monkeypatch.setattr(Rapl.__init__, "__defaults__", (tmp_path, 60.0))
    return zone / "energy_uj"


def test_what_was_measured_is_that_of_the_job_alone(package):
    watch = hardware.Stopwatch(CPU)
    package.write_text("3500000")
    found = watch.measured()
    assert found["energy_joules"] == pytest.approx(2.5) and 0 <= found["wall_seconds"] < 60
    # In bytes: Python with torch takes a hundred megabytes at least.
    assert 1e8 < found["peak_memory_bytes"] < 1e12


def test_earlier_attempts_took_time_and_an_energy_that_nobody_knows(package):
    watch = hardware.Stopwatch(CPU)
    assert watch.after(0.0).measured()["energy_joules"] == 0.0
    found = watch.after(100.0).measured()
    assert 100 <= found["wall_seconds"] < 160 and found["energy_joules"] is None


def test_one_process_of_several_reads_no_energy(package, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert hardware.Stopwatch(CPU).measured()["energy_joules"] is None


def test_a_process_computes_on_its_threads_and_deterministically():
    code = """
import os, torch
from graft.compute.hardware import use_threads
use_threads(2)
print(torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), os.environ["CUBLAS_WORKSPACE_CONFIG"],
      torch.utils.deterministic.fill_uninitialized_memory)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "2 True :4096:8 False\n", done.stderr
