import json

import pytest

from graft.cli import cleaning
from graft.io import files
from graft.study.paths import Paths
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.merge_encoders import MergeEncoders
from graft.study.steps.model_statistics import ModelStatistics
from graft.study.steps.sweep import Sweep


@pytest.fixture
def paths(tmp_path):
    """Results of a study with a fine-tuned model, a probe and an ensemble of both."""
    paths = Paths(tmp_path / "results" / "s")

    def write(path, text="x"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    for folder in (
        EmbedTask("rte", "big").output(paths).parent,
        Calibrate("rte", "p", "uniform").output(paths).parent,
        Sweep("rte", "m", "p", 0).output(paths).parent,
        ModelStatistics("rte", "member.big", 2_000_000, "gram").output(paths).parent,
        MergeEncoders("multitask.ties.big", 0).output(paths).parent,
        paths.checkpoints("0123456789abcdef") / "training" / "step-00000001",
    ):
        write(folder / "manifest.json")
        write(folder / "states.safetensors", "x" * 1000)
    for rule in ("embed_task", "calibrate", "sweep", "model_statistics", "merge_encoders", "evaluate"):
        write(paths.logs / rule / "rte" / "a.log")
    composites = {
        "finetune.tiny": None,
        "probe.mean.big": ["head.safetensors", "../../../../../models/big/model.safetensors"],
        "merge.logit_ensemble.p": [
            "../../../finetune.tiny/seed-0/model/model.safetensors",
            "../../../probe.mean.big/seed-0/model/composite.json",
        ],
    }
    for system, parts in composites.items():
        run = paths.run("rte", system, 0)
        for name in ("run.json", "build.json", "predictions.parquet", "training.jsonl"):
            write(run / name)
        name, text = ("model.safetensors", "x" * 2000) if parts is None else ("composite.json", "")
        write(run / "model" / name, text or json.dumps({"sha256": dict.fromkeys(parts, "0")}))
    write(paths.model("big") / "model.safetensors")
    write(paths.tables / f".runs.0123456789ab{files.TEMPORARY}.csv")
    return paths


def _relative(paths, items):
    return {item.path.relative_to(paths.root).as_posix() for item in items}


STATES = {"embeddings", "statistics", "sweeps", "checkpoints", "logs/embed_task", "logs/calibrate", "logs/sweep"}
STATES |= {"model-statistics", "encoders", "logs/model_statistics", "logs/merge_encoders"}
STATES |= {f"tables/.runs.0123456789ab{files.TEMPORARY}.csv"}


def test_states_their_logs_and_what_is_half_written_go_and_models_stay(paths):
    found = cleaning.removable(paths)
    assert _relative(paths, found) == STATES
    assert {item.path.name: item.bytes for item in found}["embeddings"] == 1001
    cleaning.remove(found)
    assert cleaning.removable(paths) == []
    left = {path.relative_to(paths.root).parts[0] for path in paths.root.rglob("*") if path.is_file()}
    assert left == {"logs", "models", "runs"}
    assert len([*paths.root.rglob("runs/*/*/*/*.*")]) == 12


def test_a_model_goes_with_what_is_made_of_it_and_its_records_stay(paths):
    found = _relative(paths, cleaning.removable(paths, ["*/finetune.*"])) - STATES
    folders = {f"runs/rte/{system}/seed-0" for system in ("finetune.tiny", "merge.logit_ensemble.p")}
    assert found == {f"{folder}/model" for folder in folders}
    cleaning.remove(cleaning.removable(paths, ["*/finetune.*"]))
    for system in ("finetune.tiny", "merge.logit_ensemble.p", "probe.mean.big"):
        assert (paths.run("rte", system, 0) / "run.json").is_file()
        assert (paths.run("rte", system, 0) / "build.json").is_file()
        assert (paths.run("rte", system, 0) / "predictions.parquet").is_file()


def test_the_pre_trained_models_always_stay(paths):
    cleaning.remove(cleaning.removable(paths, ["*"]))
    assert (paths.model("big") / "model.safetensors").is_file()


def test_a_pattern_that_matches_nothing_is_told(paths):
    with pytest.raises(ValueError, match=r"no saved model matches 'rte/nothing'; patterns match <task>"):
        cleaning.removable(paths, ["*", "rte/nothing"])


def test_a_short_name_of_a_system_chooses_its_model(paths):
    (model := paths.run("rte", "merge.theseus.labelled.tiny-into-big", 0) / "model").mkdir(parents=True)
    assert model in [item.path for item in cleaning.removable(paths, ["rte/merge.theseus.labelled/*"])]


def test_manifests_go_before_what_they_vouch_for(paths, monkeypatch):
    def killed(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(cleaning.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        cleaning.remove(cleaning.removable(paths, ["*"]))
    assert not EmbedTask("rte", "big").output(paths).exists()
