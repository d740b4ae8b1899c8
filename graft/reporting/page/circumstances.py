"""How a study was run (versions, hardware, time), and which runs are absent and why."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from graft.reporting.states import states, unknown_source
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.records import RunRecord


def circumstances(records: list[RunRecord]) -> list[tuple[str, str]]:
    """Names and values of the provenance of finished runs; values that differ are listed with their counts."""
    made = [record.provenance for record in records]
    if not made:
        return [("runs", "none has finished")]
    seconds = [record.cost.wall_seconds for record in records if record.cost.wall_seconds is not None]
    joules = [record.cost.energy_joules for record in records if record.cost.energy_joules is not None]
    return [
        ("finished runs", str(len(records))),
        ("total time of their last jobs", f"{math.fsum(seconds) / 3600:.2f} h" if seconds else "not measured"),
        ("total energy of these jobs", f"{math.fsum(joules) / 3.6e6:.3g} kWh" if joules else "not measured"),
        ("hardware", _counted(_listed(one.hardware) or "not recorded" for one in made)),
        ("device", _counted(one.device for one in made)),
        ("precision of training", _counted(one.precision for one in made)),
        ("threads", _counted(str(one.threads) for one in made)),
        ("code", _counted(one.code_version for one in made)),
        ("packages", _counted(_listed(one.packages) for one in made)),
    ]


def absent(grid: Grid, paths: Paths) -> list[tuple[str, str, str]]:
    """Name, state and reason of every run that is not in the tables."""
    found = states(grid, paths, check=unknown_source(grid) is None)
    return [(one.run.id, one.state, one.why) for one in found if one.state != "done"]


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()) if value not in (None, "", []))


def _counted(values: Iterable[str]) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{value} ({count} runs)" for value, count in sorted(counts.items()))
