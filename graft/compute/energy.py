"""Energy counters of this machine, if they can be read: NVML's for a GPU, RAPL's for the CPU packages.

Both count everything that runs on their hardware, so a figure is one job's only if the job had that hardware to itself.
Imports torch only to find out which GPU is in use.
"""

import ctypes
import threading
import time
from pathlib import Path
from typing import Any, Protocol

RAPL = Path("/sys/class/powercap")
# A package's counter wraps around after about 260 kJ: a quarter of an hour at 300 W.
WATCH_SECONDS = 60.0
_MILLI, _MICRO = 1e-3, 1e-6


class Meter(Protocol):
    """A counter of energy."""

    def joules(self) -> float:
        """Joules since some fixed moment in the past; never decreases."""


def meter(device: str) -> Meter | None:
    """Return the energy meter for a device, "cpu" or "cuda"; None if it has none that can be read."""
    try:
        if device != "cuda":
            return Rapl()
        import torch

        return Nvml(f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}")
    except OSError:
        return None


class Rapl:
    """Energy of all CPU packages of this machine, from Linux's powercap files, which most systems let only root read.

    Source: kernel.org, Documentation/power/powercap/powercap.rst. Raises OSError if no package can be read.
    """

    def __init__(self, root: Path = RAPL, watch_seconds: float = WATCH_SECONDS) -> None:
        zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        # Some machines also have a zone for the whole board (psys), which would count the packages twice.
        zones = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        if not zones:
            raise FileNotFoundError(f"{root}: no CPU package has an energy counter")
        self._ranges = {zone: int((zone / "max_energy_range_uj").read_text()) for zone in zones}
        self._last = {zone: _counter(zone) for zone in zones}
        self._total = 0
        self._lock = threading.Lock()
        # Reading too rarely would miss a wrap-around and lose a whole range.
        threading.Thread(target=self._watch, args=[watch_seconds], daemon=True).start()

    def joules(self) -> float:
        with self._lock:
            for zone, last in self._last.items():
                now = _counter(zone)
                self._total += now - last if now >= last else now + self._ranges[zone] - last
                self._last[zone] = now
            return self._total * _MICRO

    def _watch(self, seconds: float) -> None:
        while True:
            time.sleep(seconds)
            self.joules()


class Nvml:
    """Energy of one GPU, from its driver's counter in millijoules (Volta and newer; no MIG slices).

    Source: NVIDIA, NVML API reference, nvmlDeviceGetTotalEnergyConsumption. `uuid`: as NVML writes it, "GPU-…".
    Raises OSError if there is no driver, no such GPU, or no such counter.
    """

    def __init__(self, uuid: str, library: Any = None) -> None:
        # The library comes with the driver, so no package is needed.
        self._library = library or ctypes.CDLL("libnvidia-ml.so.1")
        self._device = ctypes.c_void_p()
        _check("nvmlInit_v2", self._library.nvmlInit_v2())
        found = self._library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(self._device))
        _check("nvmlDeviceGetHandleByUUID", found)
        self.joules()

    def joules(self) -> float:
        count = ctypes.c_ulonglong()
        read = self._library.nvmlDeviceGetTotalEnergyConsumption(self._device, ctypes.byref(count))
        _check("nvmlDeviceGetTotalEnergyConsumption", read)
        return count.value * _MILLI


def _counter(zone: Path) -> int:
    return int((zone / "energy_uj").read_text())


def _check(call: str, status: int) -> None:
    if status != 0:
        raise OSError(f"{call}: NVML answers with error {status}")
