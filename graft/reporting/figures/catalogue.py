"""List all figures by name, and write those that a study has data for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from graft.io import files
from graft.reporting.csv_files import write_csv
from graft.reporting.figures import cost, differences, seeds, similarity, strengths, training, warm_starts
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import FORMATS, Draw, save


@dataclass(frozen=True)
class Drawing:
    """A kind of figure: `data` makes its table for all tasks, and `draw` draws one task of it."""

    data: Callable[[Source], pd.DataFrame]
    draw: Draw


# In the order of `captions.FIGURES`, which describes each.
DRAWINGS = {
    "metric-vs-training-flops": Drawing(cost.training, cost.draw_training),
    "metric-vs-inference-flops": Drawing(cost.inference, cost.draw_inference),
    "differences": Drawing(differences.data, differences.draw),
    "seeds": Drawing(seeds.data, seeds.draw),
    "strengths": Drawing(strengths.data, strengths.draw),
    "warm-start": Drawing(warm_starts.data, warm_starts.draw),
    "layer-similarity": Drawing(similarity.data, similarity.draw),
    "training": Drawing(training.data, training.draw),
}


def write(source: Source, folder: Path) -> None:
    """Replace `folder` by all figures that have data, as `<figure>.<task>.{svg,png,pdf,csv}`."""
    with files.atomic_folder(folder) as temporary:
        for name, drawing in DRAWINGS.items():
            table = drawing.data(source)
            for task in dict.fromkeys(table["task"]) if len(table) else ():
                own = table[table["task"] == task].reset_index(drop=True)
                write_csv(own, temporary / f"{name}.{task}.csv")
                figure = drawing.draw(own)
                for ending in FORMATS:
                    save(figure, temporary / f"{name}.{task}.{ending}")
