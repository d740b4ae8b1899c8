import numpy as np
import pytest

from graft.config.study import parse
from graft.registry.shapes import Shape
from graft.study.grid import Grid
from graft.study.sizes import Sizes, TaskSizes, Unknown

SHAPE = Shape(2, 12, 2, 24, 60, positions=64)


@pytest.fixture
def grid(study_config):
    return Grid(parse(study_config))


def test_sizes_are_asked_for_once_and_texts_cut_for_the_model_that_reads_them(grid):
    asked = []

    def task(name):
        asked.append(name)
        return TaskSizes({"train": np.array([4, 40, 30])}, "here")

    sizes = Sizes(grid, task, lambda name: (SHAPE, name), packs=True)
    # The study's models read 32 tokens.
    assert (
        sizes.lengths("rte", "train", "large").tolist()
        == [4, 32, 30]
        == sizes.lengths("rte", "train", "small").tolist()
    )
    assert asked == ["rte"] and sizes.shapes("small-into-large") == (SHAPE, SHAPE) and not sizes.unknown


def test_what_is_unknown_is_said_once_and_raised_each_time(grid):
    def unknown(name):
        raise Unknown(f"{name}: known after `snakemake data`")

    sizes = Sizes(grid, unknown, unknown, packs=True)
    for _ in range(2):
        with pytest.raises(Unknown):
            sizes.task("rte")
    with pytest.raises(Unknown):
        sizes.shape("large")
    assert list(sizes.unknown) == ["rte: known after `snakemake data`", "large: known after `snakemake data`"]
