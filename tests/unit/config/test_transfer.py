import itertools
import re
from pathlib import Path

import pytest
import yaml

from graft.config.study import parse
from graft.config.transfer import Transfer
from graft.study.grid import Grid
from graft.study.sources import check_sources
from graft.study.steps import graph
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.evaluate import Evaluate, evaluation
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.tables import Gather
from graft.study.steps.tokenize_task import TokenizeTask
from tests.conftest import with_transfers


@pytest.fixture
def values(study_config, pico_others):
    return with_transfers(study_config, pico_others)


def fingerprints(grid, runs):
    return {run.id: evaluation(run).fingerprint(grid) for run in runs}


def test_transfers_are_runs_of_their_own_and_leave_all_others_as_they_were(values):
    grid = Grid(parse(values))
    without = Grid(parse({**values, "transfer": {}}))
    assert fingerprints(grid, grid.runs) == fingerprints(without, without.runs)
    assert Gather().fingerprint(grid) == Gather().fingerprint(without)
    assert {run.task for run in grid.transfer_runs} == {"imdb.from-sst2", "snli.from-rte"}
    own = [run for run in grid.runs if run.task == "sst2"]
    found = [run for run in grid.transfer_runs if run.task == "imdb.from-sst2"]
    assert [(run.system, run.seed) for run in found] == [(run.system, run.seed) for run in own]
    assert [run.made for run in found] == [run.made for run in own]


def test_patterns_narrow_the_systems_and_one_that_fits_none_is_reported(values):
    names = {run.system.name for run in Grid(parse(values)).transfer_runs if run.task == "snli.from-rte"}
    assert names == {
        *("finetune.large", "finetune.small", "majority", "merge.spacewise.labelled.small-into-large"),
        "merge.logit_ensemble.small-into-large",
    }
    values["transfer"]["snli"]["systems"] = ["finetune.*", "merge.teseus.*"]
    with pytest.raises(
        ValueError, match=r"transfer.snli.systems: no system that is run on rte matches 'merge.teseus.\*'"
    ):
        Grid(parse(values))


def test_what_the_study_leaves_out_is_not_transferred(values):
    grid = Grid(parse({**values, "exclude": ["sst2/*/seed-1"]}))
    assert {run.seed for run in grid.transfer_runs if run.task == "imdb.from-sst2"} == {0, "all"}


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"labels": {"0": "positive", "1": "negative"}}, True),
        ({"limits": {"report": 20}}, True),
        ({"max_tokens": 40}, True),
        ({"systems": ["finetune.large"]}, False),
    ],
)
def test_only_what_changes_an_evaluation_makes_it_anew(values, changes, again):
    before = fingerprints(grid := Grid(parse(values)), grid.transfer_runs)
    values["transfer"]["imdb"] |= changes
    after = fingerprints(grid := Grid(parse(values)), grid.transfer_runs)
    for name, fingerprint in after.items():
        assert (before[name] != fingerprint) == (again and name.startswith("imdb.")), name


def test_a_changed_file_of_the_data_set_makes_its_evaluations_anew_and_an_unread_one_does_not(values, tmp_path):
    folder = tmp_path / "imdb"
    folder.mkdir()
    (folder / "test.tsv").write_text("text\tlabel\na fine film\t1\n")
    values["transfer"]["imdb"]["source"] = {"kind": "tsv", "folder": str(folder)}
    data = DownloadTask("imdb.from-sst2")
    before = data.fingerprint(Grid(parse(values)))
    (folder / "train.tsv").write_text("anything")
    assert data.fingerprint(Grid(parse(values))) == before
    (folder / "test.tsv").write_text("text\tlabel\na fine film\t0\n")
    assert data.fingerprint(Grid(parse(values))) != before


def test_all_systems_read_as_far_as_the_transfer_says(values):
    grid = Grid(parse(values))
    assert [grid.max_tokens(task, "small") for task in ("imdb.from-sst2", "snli.from-rte", "sst2")] == [48, 32, 32]


def test_a_transfer_needs_its_model_and_its_own_data_and_nothing_is_trained_for_it(values):
    grid = Grid(parse(values))
    found = Evaluate("imdb.from-sst2", "finetune.small", 0).inputs(grid)
    assert found == [
        FinetuneModel("sst2", "finetune.small", 0),
        DownloadTask("imdb.from-sst2"),
        TokenizeTask("imdb.from-sst2", "large"),
    ]
    made = {
        step.wildcards[0]
        for step in graph.of_study(grid)
        if step.rule not in ("download_task", "tokenize_task", "evaluate") and step.wildcards
    }
    assert not {task for task in made if "from-" in str(task)}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("imdb", {"from": "sst5"}, "transfer.imdb.from: unknown 'sst5'; available: sst2, stsb, rte"),
        (
            "imdb",
            {"labels": {"0": "bad"}},
            "transfer.imdb.labels.0: 'bad' is not a class of sst2; it has negative, positive",
        ),
        ("imdb", {"labels": None}, "transfer.imdb.labels: this key is needed; it maps"),
        ("imdb", {"text": ["a", "b"]}, "transfer.imdb.text: 2 columns, but sst2 has 1"),
        ("imdb", {"split": "train"}, "transfer.imdb.source.*|transfer.imdb.split: .*'dev' or 'test'"),
        (
            "snli",
            {"from": "stsb"},
            "transfer.snli.labels: stsb has a score, from which classes cannot be inferred; name a task",
        ),
        (
            "snli",
            {"source": {"kind": "generated", "grammar": "entailment"}},
            "transfer.snli.split: test; generated data has only dev",
        ),
        (
            "snli",
            {"source": {"kind": "generated", "grammar": "similarity"}, "split": "dev"}
            | {"text": ["sentence1", "sentence2"], "label": "score"},
            "transfer.snli.source: similarity has a score, unlike rte; use another grammar",
        ),
        ("imdb", {"max_tokens": 100}, "transfer.imdb.max_tokens: 100; .* has 64 positions"),
        (
            "snli",
            {"labels": {"0": "entailment"}},
            "has the label '[12]', but transfer.snli.labels maps",
        ),
        ("snli", {"label": "gold"}, "test.parquet: no column 'gold'; it has premise, hypothesis, label"),
        ("imdb", {"split": "dev"}, "imdb/dev.parquet is missing"),
    ],
)
def test_bad_input_is_reported_in_one_line_before_any_job(values, name, changes, message):
    values["transfer"][name] |= changes
    with pytest.raises(ValueError, match=message) as error:
        check_sources(Grid(parse(values)))
    assert "\n" not in str(error.value) and not re.search("from_|task_", str(error.value))


def test_a_task_cannot_have_the_name_of_a_transfer(values):
    values["tasks"]["imdb.from-sst2"] = {**values["tasks"]["rte"], "text": ["sentence1", "sentence2"]} | {
        "label": "label",
        "labels": ["entailment", "not_entailment"],
        "metrics": ["accuracy"],
    }
    for model in values["models"].values():
        model["finetune"]["imdb.from-sst2"] = model["finetune"]["rte"]
    with pytest.raises(
        ValueError, match="^tasks.imdb.from-sst2: .imdb.*is not a name: .from- joins two names; choose another$"
    ):
        parse(values)


def test_the_resolved_study_reads_back_as_it_was(values):
    values["transfer"]["imdb"]["labels"] = {0: "negative", 1: "positive"}  # as YAML reads them
    study = parse(values)
    assert parse(study.model_dump(mode="json", by_alias=True)) == study


def test_the_example_in_the_default_study_is_right_once_the_commits_are_filled_in():
    text = (Path(__file__).parents[3] / "config.yaml").read_text()
    example = itertools.takewhile(lambda line: line.startswith("#"), text[text.index("# transfer:\n") :].splitlines())
    transfers = yaml.safe_load("\n".join(line.removeprefix("# ") for line in example).replace("COMMIT", "a" * 40))
    grid = Grid(parse(yaml.safe_load(text) | transfers))
    assert list(grid.transfers) == ["imdb.from-sst2", "snli.from-rte"]
    assert set(Transfer.model_fields) - {"task"} | {"from"} == {
        key for keys in transfers["transfer"].values() for key in keys
    }


@pytest.mark.parametrize("value", [True, None])
def test_a_label_that_yaml_reads_as_no_text_is_refused(values, value):
    values["transfer"]["imdb"]["labels"] = {value: "negative", 1: "positive"}
    with pytest.raises(ValueError, match="is not text; write it in quotes, as in the data set"):
        parse(values)
