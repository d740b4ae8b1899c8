import ctypes
import time

import pytest

from graft.compute import energy
from graft.compute.energy import Nvml, Rapl


@pytest.fixture
def zone(tmp_path):
    """Writes a powercap zone."""

    def write(name, kind, microjoules, most=1000):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for file, value in (("name", kind), ("energy_uj", microjoules), ("max_energy_range_uj", most)):
            # Whole at once, as the kernel answers.
            (tmp_path / "next").write_text(f"{value}\n")
            (tmp_path / "next").replace(folder / file)

    return write


def test_packages_are_summed_and_neither_their_parts_nor_the_board_count_twice(zone, tmp_path):
    kinds = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "package-1", "intel-rapl:2": "psys"}
    for name, kind in kinds.items():
        zone(name, kind, 100)
    meter = Rapl(tmp_path)
    for name, kind in kinds.items():
        zone(name, kind, 350)
    assert meter.joules() == pytest.approx(500e-6)
    assert meter.joules() == pytest.approx(500e-6)


def test_a_counter_that_starts_anew_goes_on(zone, tmp_path):
    zone("intel-rapl:0", "package-0", 900)
    meter = Rapl(tmp_path)
    zone("intel-rapl:0", "package-0", 50)
    assert meter.joules() == pytest.approx(150e-6)
    zone("intel-rapl:0", "package-0", 60)
    assert meter.joules() == pytest.approx(160e-6)


def test_a_counter_that_starts_anew_twice_between_two_readings_is_watched(zone, tmp_path):
    zone("intel-rapl:0", "package-0", 900)
    meter = Rapl(tmp_path, watch_seconds=0.01)
    for microjoules in (500, 100, 700):
        zone("intel-rapl:0", "package-0", microjoules)
        time.sleep(0.1)
    assert meter.joules() == pytest.approx((600 + 600 + 600) * 1e-6)


def test_without_a_readable_counter_there_is_no_meter(tmp_path, monkeypatch):
    monkeypatch.setattr(Rapl.__init__, "__defaults__", (tmp_path, 60.0))
    assert energy.meter("cpu") is None
    with pytest.raises(OSError, match="no CPU package has an energy counter"):
        Rapl()


class Driver:
    """NVML with one GPU whose counter rises by 2500 mJ at each reading."""

    def __init__(self, status=0):
        self.status, self.count = status, 0

    def nvmlInit_v2(self):
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid, handle):
        return 0 if uuid == b"GPU-1" else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, count):
        self.count += 2500
        ctypes.cast(count, ctypes.POINTER(ctypes.c_ulonglong))[0] = self.count
        return self.status


def test_a_gpu_counts_in_millijoules_and_one_without_a_counter_is_an_os_error():
    meter = Nvml("GPU-1", Driver())
    assert meter.joules() - meter.joules() == -2.5
    for uuid, driver in (("GPU-2", Driver()), ("GPU-1", Driver(status=3))):
        with pytest.raises(OSError, match="NVML answers with error"):
            Nvml(uuid, driver)
