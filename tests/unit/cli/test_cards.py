"""Model cards of a pico study that is made in this process: every kind of system has one that the hub can read."""

import re
import shutil

import pytest
from huggingface_hub import ModelCard, metadata_load

from graft.cli import cards
from graft.config.study import parse
from graft.io import files
from graft.merging.card import CARD
from graft.registry import published
from graft.reporting import formats
from graft.study import records
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.making import MAKERS
from tests.conftest import study_values
from tests.unit.programs import finish

TASK = "rte"


def values_of(glue, models, **changes):
    merges = {name: {} for name in ("logit_ensemble", "concat_probe", "stitch", "ladder")}
    merges |= {"interpolate": {"trials": 2}}
    merges |= {"spacewise": {"strengths": [0, 1], "heads": ["labelled"], "map_ridge": 0.1, "evidence": "weights"}}
    merges["ladder"] = {"epochs": 1}
    systems = {
        "majority": {},
        "probe": {"pooling": ["mean"]},
        "merge": merges,
        "control": {"shuffled": {"of": ["spacewise"]}, "head-only": {"heads": ["label-free"]}},
        "ensemble": {"members": 2},
        "distil": {},
    }
    values = study_values(glue, models, systems=systems, launch={"precision": "fp32"}, **changes)
    values["include"] = [f"{TASK}/*"]
    for model in values["models"].values():
        model["finetune"][TASK]["epochs"] = 1
    return values


@pytest.fixture(scope="module")
def study(pico_glue, pico_models, tmp_path_factory):
    """Grid and paths of a finished study with a seed, and an ensemble of two."""
    grid = Grid(parse(values_of(pico_glue, pico_models)))
    paths = Paths(tmp_path_factory.mktemp("cards") / "pico")
    finish(grid, paths)
    return grid, paths


def test_every_saved_model_has_a_card_with_its_results_that_the_hubs_client_reads(study):
    grid, paths = study
    folders = [paths.run(*run.made) for run in grid.runs]
    assert {grid.systems[folder.parent.name].kind for folder in folders} == {
        "finetune", "probe", "baseline", "weights", "composite", "control",
    }  # fmt: skip
    for folder in folders:
        card, record = ModelCard.load(folder / "model" / CARD), records.read(folder / "run.json")
        data = metadata_load(folder / "model" / CARD)
        assert data["pipeline_tag"] == "text-classification" and "graft" in data["tags"]
        assert data["metrics"] == ["accuracy"] and data["model-index"][0]["name"] == record.system
        (result,) = card.data.eval_results
        assert (result.dataset_name, result.dataset_split, result.metric_type) == (TASK, "dev", "accuracy")
        assert result.metric_value == record.primary.value
        assert formats.score(record.primary.value) in card.text and record.system in card.text
        composite = (folder / "model" / "composite.json").is_file()
        assert data["library_name"] == ("graft" if composite else "transformers")
        assert ("merge" in data["tags"]) == record.system.startswith(("merge.", "control.shuffled."))
        assert ("This is a control" in card.text) == (record.kind == "control")


def test_a_merge_has_a_card_before_it_is_evaluated(study):
    grid, paths = study
    name = "merge.stitch.small-into-large"
    text = cards.page(grid, paths, files.read_json(paths.run(TASK, name, 0) / "build.json"))
    card = ModelCard(text)
    assert card.data.eval_results is None and cards.RESULTS not in text
    assert "Chosen on `select`" in text and "stitch" in card.data.tags and "composite" in card.data.tags


def test_an_evaluation_adds_to_a_card_and_a_second_one_replaces_what_it_added(study, tmp_path):
    grid, paths = study
    name = "merge.spacewise.labelled.small-into-large"
    shutil.copytree(paths.root, tmp_path / "pico")
    paths = Paths(tmp_path / "pico")
    folder = paths.run(TASK, name, 0)
    (folder / "model" / CARD).write_text("---\nlicense: mit\ntags: [soup]\n---\n# My own words\n\nStay.\n")
    record = records.read(folder / "run.json")
    for value in (0.25, 0.75):
        metric = record.primary.model_copy(update={"value": value})
        cards.complete(grid, paths, record.model_copy(update={"metrics": {"accuracy": metric}}))
    card = ModelCard.load(folder / "model" / CARD)
    assert card.data.license == "mit" and card.data.tags == ["soup"] and "# My own words\n\nStay." in card.text
    assert card.text.count(cards.RESULTS) == 1 and "0.750" in card.text and "0.250" not in card.text
    assert [result.metric_value for result in card.data.eval_results] == [0.75]


def test_a_merge_of_strength_0_says_so(study):
    grid, paths = study
    folder = paths.run(TASK, "merge.spacewise.labelled.small-into-large", 0)
    built = files.read_json(folder / "build.json")
    for strength in (0.0, 1.0):
        built["choices"][0]["chosen"] = strength
        text = cards.page(grid, paths, built)
        assert ("nothing was merged into it" in text) == (strength == 0)


def test_a_card_names_no_folder_of_this_machine(study, pico_models):
    grid, paths = study
    for run in grid.runs:
        text = (paths.run(*run.made) / "model" / CARD).read_text()
        assert str(pico_models) not in text and str(paths.root) not in text and not re.search(r"`/\w", text)


def test_the_card_changes_no_recorded_sha256(study):
    grid, paths = study
    for run in grid.runs:
        assert CARD not in files.read_json(paths.run(*run.made) / "build.json")["model_sha256"]


def test_sources_on_the_hub_are_named_with_licence_and_warning(study):
    grid, paths = study
    built = files.read_json(paths.run(TASK, "merge.interpolate.small-into-large", 0) / "build.json")
    (digest,) = published.BY_SHA256
    manifest = paths.model("large") / "manifest.json"
    before = files.read_json(manifest)
    package = {"kind": "python_package", "package": "gt", "folder": ".", "sha256": digest}
    small = paths.model("small") / "manifest.json"
    own = files.read_json(small)
    try:
        files.write_json(manifest, before | {"source": package})
        files.write_json(small, own | {"source": {"kind": "distilled", "teacher": "large"}})
        card = ModelCard(cards.page(grid, paths, built))
    finally:
        files.write_json(manifest, before)
        files.write_json(small, own)
    assert card.data.base_model == ["sentence-transformers/all-MiniLM-L6-v2"] and card.data.license == "apache-2.0"
    assert card.data.base_model_relation == "merge"
    assert card.text.count("> **Not evidence.** all-MiniLM-L6-v2 was trained on NLI and STS-like pairs") == 1


def test_steps_that_make_models_are_known(study):
    grid, _ = study
    assert {system.program for system in grid.systems.values()} <= MAKERS.keys()
