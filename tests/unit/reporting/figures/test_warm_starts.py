import pandas as pd

from graft.reporting.figures import warm_starts
from graft.reporting.figures.source import Source
from graft.study.grid import Grid


def test_warm_starts_are_curves_by_arm(study, paths, runs_of, compare):
    made = study(
        systems={
            "merge": {"theseus": {"heads": ["labelled"]}},
            "control": {"head-only": {"heads": ["labelled"]}, "shuffled": {"of": ["theseus"]}},
            "warm-start": {"merge": "theseus", "steps": [10, 20]},
        }
    )
    grid = Grid(made)
    names = [name for name, system in grid.systems.items() if system.kind != "trial"]
    runs = runs_of({name: {0: 0.5, 1: 0.6} for name in names}, flops={name: 10 + i for i, name in enumerate(names)})
    data = warm_starts.data(Source(grid, paths, compare(runs, made), runs))
    figure = warm_starts.draw(data)
    assert isinstance(data, pd.DataFrame) and set(data["steps"]) == {0, 10, 20}
    dots = [line for axis in figure.axes for line in axis.lines if line.get_marker() == "."]
    assert set(data["dots"]) == {"0.5 0.6"} and len(dots) == 2 * len(data)
    assert [axis.get_xlabel() for axis in figure.axes] == ["steps", "training FLOPs, all"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {*data["arm"], "reference"}
