import numpy as np
import pandas as pd
import pytest

from graft.config.study import parse
from graft.io import files
from graft.planning import sizes
from graft.planning.sizes import Unknown, model_shape, task_sizes
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.models import weights
from graft.tasks.prepare import prepare_task
from tests.conftest import study_values

HUB = {"kind": "hub", "repo": "nyu-mll/glue", "config": "rte", "revision": "0" * 40}


@pytest.fixture
def values(pico_glue, pico_models):
    return study_values(pico_glue, pico_models)


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "results" / "pico")


def test_rows_of_local_files_are_those_that_the_study_will_use(values, paths, tmp_path):
    grid = Grid(parse(values))
    for task in values["tasks"]:
        rows = prepare_task(task, grid.study.tasks[task], tmp_path / task, "x")["rows"]
        found = task_sizes(grid, paths, task)
        assert {split: len(tokens) for split, tokens in found.tokens.items()} == {s: rows[s] for s in sizes.SPLITS}


def test_tokens_are_words_and_marks_times_the_stated_factor_and_special_tokens():
    table = pd.DataFrame({"text_a": ["a film, clumsy and cold.", "so"], "text_b": ["it's", "x"]})
    expected = np.rint(np.array([7 + 3, 1 + 1]) * sizes.TOKENS_PER_WORD) + 3
    assert sizes._tokens(table).tolist() == expected.tolist()
    assert sizes._tokens(table[["text_b"]]).tolist() == (np.rint(np.array([3, 1]) * sizes.TOKENS_PER_WORD) + 2).tolist()


def test_lengths_are_cut():
    found = sizes.TaskSizes({"train": np.array([5, 50])}, "")
    assert found.lengths("train", 32).tolist() == [5, 32]


def test_a_known_hub_task_has_its_published_rows(values, paths):
    values["tasks"]["rte"] = {"source": HUB, "limits": {"select": 250}}
    found = task_sizes(Grid(parse(values)), paths, "rte")
    assert {split: len(tokens) for split, tokens in found.tokens.items()} == {
        "train": 2241,
        "select": 249,
        "report": 277,
    }


def test_limits_bound_the_rows_of_a_hub_task_and_whole_sentences_come_first(values, paths):
    values["tasks"]["sst2"] = {"source": HUB | {"config": "sst2"}, "limits": {"train": 3000, "select": 100}}
    found = task_sizes(Grid(parse(values)), paths, "sst2").tokens
    assert (len(found["train"]), len(found["select"]), len(found["report"])) == (3000, 100, 872)
    values["tasks"]["sst2"]["limits"] = {"select": 1000}
    whole = task_sizes(Grid(parse(values)), paths, "sst2").tokens["train"]
    assert len(whole) > 50_000 and whole.mean() < 0.7 * found["train"].mean()


def test_an_unknown_hub_task_says_what_would_make_it_known_and_is_known_then(values, paths, tmp_path, pico_glue):
    local = dict(values["tasks"]["rte"])
    values["tasks"]["rte"] = {"source": HUB | {"repo": "someone/else"}, "limits": {"select": 40}}
    grid = Grid(parse(values))
    with pytest.raises(Unknown, match=r"task rte: rows and lengths of someone/else/rte; known after `snakemake data`"):
        task_sizes(grid, paths, "rte")
    spec = grid.study.tasks["rte"].model_validate(local)
    manifest = prepare_task("rte", spec, paths.data("rte"), DownloadTask("rte").fingerprint(grid))
    assert len(task_sizes(grid, paths, "rte").tokens["train"]) == manifest["rows"]["train"]
    files.write_json(paths.data("rte") / "manifest.json", manifest | {"fingerprint": "other"})
    with pytest.raises(Unknown):
        task_sizes(grid, paths, "rte")


def test_shapes_come_from_the_folder_the_config_or_the_table(values, paths):
    shape = {"layers": 2, "width": 12, "heads": 4, "ffn": 24}
    values["models"]["small"]["source"] = {"kind": "distilled", "teacher": "large", "shape": shape}
    large, _ = model_shape(Grid(parse(values)), paths, "large")
    small, _ = model_shape(Grid(parse(values)), paths, "small")
    assert (large.layers, large.width) == (4, 24)
    assert (small.layers, small.width, small.vocabulary) == (2, 12, large.vocabulary)
    values["models"]["plain"] = {"role": "small", "source": {"kind": "random", "like": "small"}}
    assert model_shape(Grid(parse(values)), paths, "plain")[0] == small
    hub = {"kind": "hub", "repo": "google-bert/bert-base-uncased", "revision": "0" * 40}
    values["models"]["large"]["source"] = hub
    assert model_shape(Grid(parse(values)), paths, "small")[0].vocabulary == 30522


def test_an_unknown_hub_model_is_known_once_it_is_here(values, paths, pico_models):
    values["models"]["large"]["source"] = {"kind": "hub", "repo": "someone/else", "revision": "0" * 40}
    grid = Grid(parse(values))
    with pytest.raises(Unknown, match=r"model large: shape of someone/else; known after `snakemake models`"):
        model_shape(grid, paths, "large")
    files.write_json(paths.model("large") / "manifest.json", {"fingerprint": weights(grid, "large").fingerprint(grid)})
    files.write_json(paths.model("large") / "config.json", files.read_json(pico_models / "large" / "config.json"))
    assert model_shape(grid, paths, "large")[0].layers == 4
