"""GLUE's zip, from a pico study that is made in this process and test sets in the official layout."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from graft.cli import glue
from graft.cli.submission import submit
from graft.config.study import parse
from graft.io import files
from graft.merging.loading import load
from graft.registry.families.family import BERTS
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.tasks.tokens import TokenisedSplit, load_tokenizer
from tests.conftest import pair_rows, sentiment_rows, study_values, write_glue, write_tsv
from tests.unit.programs import finish

ENSEMBLE = "merge.logit_ensemble.small-into-large"
# Of the official files; the sources' columns stand between in STS-B.
STSB = ["index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2"]
ROWS = 30


def write_test_sets(folder):
    rng = np.random.default_rng(5)
    write_tsv(folder / "SST-2" / "test.tsv", ["index", "sentence"], [
        [i, text] for i, (text, _) in enumerate(sentiment_rows(rng, ROWS))
    ])  # fmt: skip
    pairs = [(a, b) for a, b, _ in pair_rows(rng, ROWS)]
    write_tsv(folder / "RTE" / "test.tsv", ["index", "sentence1", "sentence2"], [[i, *p] for i, p in enumerate(pairs)])
    middle = ["main-captions", "MSRvid", "2012test", "0024", "none", "none"]
    write_tsv(folder / "STS-B" / "test.tsv", STSB, [[i, *middle, *p] for i, p in enumerate(pairs)])


@pytest.fixture(scope="module")
def study(pico_models, tmp_path_factory):
    """Grid and paths of a finished study whose folders have test sets."""
    folder = tmp_path_factory.mktemp("submission")
    write_test_sets(write_glue(folder / "glue", train=120, dev=20))
    values = study_values(folder / "glue", pico_models, launch={"precision": "fp32"})
    values["include"] = ["*/finetune.small/*", f"*/{ENSEMBLE}/*"]
    values["exclude"] = [f"stsb/{ENSEMBLE}/*"]
    for settings in values["models"]["small"]["finetune"].values():
        settings["epochs"] = 1
    grid, paths = Grid(parse(values)), Paths(folder / "results" / "pico")
    finish(grid, paths)
    return grid, paths


def quiet(done, total, text):
    pass


def read(path):
    """Index and prediction of every row, by file."""
    with zipfile.ZipFile(path) as archive:
        lines = {name: archive.read(name).decode().splitlines() for name in archive.namelist()}
    return {name.removesuffix(".tsv"): [line.split("\t") for line in found[1:]] for name, found in lines.items()}


def select_scores(paths, task, system):
    built = {seed: files.read_json(paths.run(task, system, seed) / "build.json") for seed in (0, 1)}
    return {seed: record["select"]["value"] for seed, record in built.items()}


def test_every_test_set_is_answered_by_the_seed_that_is_best_on_select(study, tmp_path):
    grid, paths = study
    parts = submit(grid, paths, "finetune.small", None, tmp_path / "glue.zip", quiet)
    found = read(tmp_path / "glue.zip")
    assert {name: len(rows) for name, rows in found.items()} == {
        name: ROWS if name in ("SST-2", "STS-B", "RTE") else test_set.rows for name, test_set in glue.TEST_SETS.items()
    }
    for part in parts:
        scores = select_scores(paths, part.run.task, "finetune.small")
        assert part.select == scores[part.run.seed] == max(scores.values())
        assert f"GLUE's test set has {glue.TEST_SETS[part.name].rows}" in str(part)
    assert {told for _, told in found["SST-2"]} <= {"0", "1"}
    assert {told for _, told in found["RTE"]} <= {"entailment", "not_entailment"}
    assert all(0 <= float(told) <= 5 for _, told in found["STS-B"])
    assert [index for index, _ in found["RTE"]] == [str(i) for i in range(ROWS)]


@pytest.mark.parametrize("seed", [0, 1])
def test_predictions_are_the_models_own(study, tmp_path, seed):
    grid, paths = study
    submit(grid, paths, ENSEMBLE, str(seed), tmp_path / "glue.zip", quiet)
    found = read(tmp_path / "glue.zip")
    rows = [line.split("\t") for line in (glue_of(grid) / "RTE" / "test.tsv").read_text().splitlines()[1:]]
    columns = [[row[i] for row in rows] for i in (1, 2)]
    tokens = TokenisedSplit.of_texts(load_tokenizer(paths.model("large")), columns, "here", BERTS)
    logits = load(paths.run("rte", ENSEMBLE, seed) / "model").logits(tokens.batch(np.arange(ROWS), 32))
    names = ["entailment", "not_entailment"]
    assert [told for _, told in found["RTE"]] == [names[int(i)] for i in logits.argmax(1)]
    # This system is not run on stsb.
    assert {told for _, told in found["STS-B"]} == {"2.500"}


def glue_of(grid):
    return Path(grid.study.tasks["rte"].source.folder).parent


def test_an_unknown_system_or_seed_is_named(study, tmp_path):
    grid, paths = study
    with pytest.raises(ValueError, match="study pico runs no system 'finetune.tiny'; available: finetune.small"):
        submit(grid, paths, "finetune.tiny", None, tmp_path / "glue.zip", quiet)
    with pytest.raises(ValueError, match="sst2/finetune.small has no seed '7'; the study has 0, 1"):
        submit(grid, paths, "finetune.small", "7", tmp_path / "glue.zip", quiet)
    assert not (tmp_path / "glue.zip").exists()


@pytest.fixture
def copied(study, tmp_path):
    """The study's results in a place where they may be spoilt."""
    grid, paths = study
    shutil.copytree(paths.root, tmp_path / "results" / "pico")
    return grid, Paths(tmp_path / "results" / "pico")


def test_a_model_that_was_not_kept_is_named(copied, tmp_path):
    grid, paths = copied
    shutil.rmtree(paths.run("rte", "finetune.small", 1) / "model")
    with pytest.raises(ValueError, match="rte/finetune.small/seed-1/model: not made, or not kept"):
        submit(grid, paths, "finetune.small", None, tmp_path / "glue.zip", quiet)
    assert submit(grid, paths, "finetune.small", "0", tmp_path / "glue.zip", quiet)


def test_a_model_that_was_changed_is_named(copied, tmp_path):
    grid, paths = copied
    with open(paths.run("rte", "finetune.small", 0) / "model" / "config.json", "a") as handle:
        handle.write("\n")
    with pytest.raises(ValueError, match="rte/finetune.small/seed-0/model/config.json: changed since"):
        submit(grid, paths, "finetune.small", "0", tmp_path / "glue.zip", quiet)


def test_a_test_split_that_is_not_there_is_named_before_anything_is_computed(study, tmp_path):
    grid, paths = study
    missing = glue_of(grid) / "STS-B" / "test.tsv"
    content = missing.read_bytes()
    missing.unlink()
    try:
        with pytest.raises(ValueError, match=f"tasks.stsb.source.folder: {missing} is missing"):
            submit(grid, paths, "finetune.small", None, tmp_path / "glue.zip", quiet)
    finally:
        missing.write_bytes(content)


def test_a_test_split_with_other_columns_is_named(study, tmp_path):
    grid, paths = study
    file = glue_of(grid) / "SST-2" / "test.tsv"
    content = file.read_text()
    file.write_text(content.replace("sentence", "text", 1))
    try:
        with pytest.raises(ValueError, match="SST-2/test.tsv: no column 'sentence'; it has index, text"):
            submit(grid, paths, "finetune.small", None, tmp_path / "glue.zip", quiet)
    finally:
        file.write_text(content)
