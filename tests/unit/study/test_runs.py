"""What programs that make systems read and write: checked inputs, and a build.json at the very end."""

import numpy as np
import pandas as pd
import pytest

from graft.compute.hardware import Stopwatch
from graft.config.launch import Launch
from graft.config.study import parse
from graft.io import files
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.majority import Majority

LAUNCH = Launch(device="cpu", precision="fp32")


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path)


@pytest.fixture
def grid(study_config):
    return Grid(parse(study_config))


def test_what_is_missing_or_of_another_config_is_told_with_what_to_do(grid, paths):
    step = Majority("rte", "majority", "all")
    with pytest.raises(ValueError, match="build.json: missing; run snakemake again"):
        runs.finished(grid, paths, step)
    step.output(paths).parent.mkdir(parents=True)
    files.write_json(step.output(paths), {"fingerprint": "b"})
    with pytest.raises(ValueError, match=rf"build.json: made by another config \(b, not {step.fingerprint(grid)}\)"):
        runs.finished(grid, paths, step)
    files.write_json(step.output(paths), {"fingerprint": step.fingerprint(grid), "x": 1})
    folder, made = runs.finished(grid, paths, step)
    assert folder == step.output(paths).parent and made["x"] == 1


def save(grid, paths, task="rte", system="finetune.small", seed=0, score=0.5, flops=7):
    """A finished system, with a model of one file."""
    step = FinetuneModel(task, system, seed)
    out = step.output(paths).parent
    (out / "model").mkdir(parents=True)
    (out / "model" / "model.safetensors").write_text(f"{system} {seed}")
    (out / "model" / "README.md").write_text("no part of the model")
    name = f"{system}/{task}/seed-{seed}"
    runs.save_system(
        grid, paths, step, Stopwatch(LAUNCH), flops={name: flops}, nominal={name: 9},
        hyperparameters={}, choices=[], score=score, launch=LAUNCH,
    )  # fmt: skip
    return out


def test_a_saved_system_is_read_back_with_its_model_checked(grid, paths):
    out = save(grid, paths)
    folder, built = runs.made_model(grid, paths, FinetuneModel("rte", "finetune.small", 0))
    assert folder == out / "model" and built == files.read_json(out / "build.json")
    assert built["model_sha256"] == {"model.safetensors": files.sha256(folder / "model.safetensors")}
    assert built["train_flops_parts"] == {"finetune.small/rte/seed-0": 7}
    assert built["nominal_flops_parts"] == {"finetune.small/rte/seed-0": 9}
    assert built["diagnostics"] == {} and built["provenance"]["device"] == "cpu"


@pytest.mark.parametrize(
    ("damage", "told"), [("changed", "changed since .*build.json was written"), ("gone", "not kept")]
)
def test_a_model_that_is_not_the_one_saved_is_refused(grid, paths, damage, told):
    weights = save(grid, paths) / "model" / "model.safetensors"
    weights.write_text("other") if damage == "changed" else weights.unlink()
    with pytest.raises(ValueError, match=f"model.safetensors: {told}"):
        runs.made_model(grid, paths, FinetuneModel("rte", "finetune.small", 0))


def test_labels_are_those_of_the_split_in_the_order_of_its_rows(paths):
    paths.data("rte").mkdir(parents=True)
    for split, labels in (("train", [2, 0, 1]), ("select", [1, 1, 0])):
        pd.DataFrame({"text_a": list("abc"), "label": labels}).to_parquet(paths.data("rte") / f"{split}.parquet")
    assert runs.labels(paths, "rte", "train").tolist() == [2, 0, 1]
    assert runs.labels(paths, "rte", "select").tolist() == [1, 1, 0]


def test_without_a_grid_the_settings_are_the_studys_and_nothing_was_searched(grid, paths):
    settings, flops, choice = runs.chosen_settings(grid, paths, "rte", "small")
    assert settings == grid.study.models["small"].finetune["rte"] and flops == {} and choice is None


def test_settings_are_those_of_the_trial_that_is_best_on_average(study_config, paths):
    study_config["models"]["small"]["finetune"]["rte"]["grid"] = {"learning_rate": [1e-4, 3e-3], "seeds": 2}
    grid = Grid(parse(study_config))
    # The first has the best single seed, the second the better mean.
    scores = iter([0.9, 0.1, 0.6, 0.7])
    for name, seed in grid.trials("rte", "small"):
        save(grid, paths, system=name, seed=seed, score=next(scores), flops=10)
    settings, flops, choice = runs.chosen_settings(grid, paths, "rte", "small")
    assert settings.learning_rate == 3e-3 and settings.batch_size == 16
    assert len(flops) == 4 and sum(flops.values()) == 40
    assert choice["metric"] == "accuracy" and "0.003" in choice["chosen"]
    assert [point["score"] for point in choice["searched"]] == pytest.approx([0.5, 0.65])


def test_calibration_texts_are_the_studys_file_in_the_tokens_of_the_large_model(study_config, pico_models, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the good film\nthe bad film was\n")
    study_config["calibration"]["text"] = str(text)
    grid, paths = Grid(parse(study_config)), Paths(tmp_path / "pico")
    paths.model("large").parent.mkdir(parents=True)
    paths.model("large").symlink_to(pico_models / "large")
    tokens = runs.calibration_tokens(grid, paths, "rte", grid.pairs[0])
    assert tokens.lengths(64).tolist() == [5, 6] and isinstance(tokens.lengths(64), np.ndarray)
