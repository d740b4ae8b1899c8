"""List all figures by name, and write those that a study has data for."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from graft.io import files
from graft.reporting.csv_files import write_csv
from graft.reporting.figures import (
    cost,
    differences,
    frontier,
    profiles,
    seeds,
    similarity,
    strengths,
    training,
    warm_starts,
)
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import FORMATS, Draw, save

# By name, in the order of `captions.FIGURES`, which describes each: a function that makes the table for all tasks, and
# one that draws one task of it, or one scenario of a task.
DRAWINGS: dict[str, tuple[Callable[[Source], pd.DataFrame], Draw]] = {
    "frontier-training-flops": (frontier.training, frontier.draw_training),
    "frontier-inference-flops": (frontier.inference, frontier.draw_inference),
    "metric-vs-training-flops": (cost.training, cost.draw_training),
    "metric-vs-inference-flops": (cost.inference, cost.draw_inference),
    "differences": (differences.data, differences.draw),
    "seeds": (seeds.data, seeds.draw),
    "strengths": (strengths.data, strengths.draw),
    "warm-start": (warm_starts.data, warm_starts.draw),
    "layer-similarity": (similarity.data, similarity.draw),
    "training": (training.data, training.draw),
    "profiles": (profiles.data, profiles.draw),
}


def write(source: Source, folder: Path) -> None:
    """Replace `folder` by all figures that have data, as `<figure>[-<scenario>].<task>.{svg,png,pdf,csv}`."""
    with files.atomic_folder(folder) as temporary:
        for figure, (data, draw) in DRAWINGS.items():
            table = data(source)
            by = [column for column in ("task", "scenario") if column in table]
            for (task, *scenario), own in table.groupby(by, sort=False) if len(table) else ():
                own, name = own.reset_index(drop=True), "-".join([figure, *scenario])
                write_csv(own, temporary / f"{name}.{task}.csv")
                drawn = draw(own)
                for ending in FORMATS:
                    save(drawn, temporary / f"{name}.{task}.{ending}")
