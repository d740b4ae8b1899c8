import numpy as np
import pytest
import torch

from graft.encoders.bert import load_encoder
from graft.encoders.features import last_states, pooled_states
from graft.flops.counts import encoder_flops
from graft.io import files
from graft.making.workbench import Workbench
from graft.study import runs
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.finetune_model import FinetuneModel
from tests.unit.making.conftest import PAIR


@pytest.fixture(scope="module")
def study(make):
    theseus = {"heads": ["labelled"], "strengths": [0, 1], "fit_rows": 64, "depth": "cka"}
    return make({"merge": {"theseus": theseus, "logit_ensemble": {}}, "probe": {"pooling": ["mean"]}}, ("merge.*",))


@pytest.fixture
def bench(study):
    return Workbench(study.grid, study.paths, "rte", PAIR, 0, "cpu")


def test_frozen_states_are_those_of_the_untouched_large_model(bench, study):
    model = load_encoder(study.paths.model("large"))
    for split in ("train", "select"):
        states = pooled_states(lambda b: last_states(model, b), "cls", bench.tokens(split), bench.max_tokens)
        assert bench.frozen[f"{split}.cls"] == pytest.approx(states, abs=1e-5)


def test_a_score_is_that_of_the_labels_of_select(bench):
    right = np.eye(2)[bench.select_labels]
    assert bench.score(right) == bench.score(torch.from_numpy(right)) == 1.0 and bench.score(1 - right) == 0.0


def test_flops_of_a_pass_are_those_of_the_rows_that_run(bench):
    rows, shape = np.array([3, 4]), bench.small_shape
    lengths = bench.tokens("train").lengths(bench.max_tokens)[rows]
    assert bench.passes(shape, "train", rows) == 2 * encoder_flops(shape, int(lengths.max()))
    assert bench.passes(shape, "train", rows, times=3) == 3 * bench.passes(shape, "train", rows)
    assert bench.passes(bench.large_shape, "select") > bench.passes(shape, "select") > 0


def test_the_likeness_of_layers_is_paid_for_by_the_depth_map_that_reads_it(bench):
    made = bench.calibration("cka")[1]["train_flops_parts"]
    likeness = {part for part in made if part.endswith("/similarity")}
    assert len(likeness) == 1 and bench.calibration_flops("cka") == made
    assert likeness == {part for part in made if part not in _without(bench, "cka")}


def _without(bench, depth):
    """What a merge would pay that takes the same statistics and another depth map."""
    step, other = Calibrate("rte", PAIR, "uniform"), Calibrate("rte", PAIR, depth)
    folder = step.output(bench.paths).parent
    if not folder.exists():
        folder.symlink_to(other.output(bench.paths).parent)
        bench.grid.fingerprints[step] = other.fingerprint(bench.grid)
    return bench.calibration_flops("uniform")


def test_parts_are_the_two_models_the_fine_tuned_one_and_what_was_calibrated(bench, study):
    parts = bench.parts(study.grid.merges["theseus"])
    large, small = (load_encoder(study.paths.model(name)).state_dict() for name in ("large", "small"))
    assert all(parts.large[name].equal(large[name]) for name in large)
    assert all(parts.small_pretrained[name].equal(small[name]) for name in small)
    assert any(not parts.small_finetuned[name].equal(small[name]) for name in small)
    assert parts.depth_map == tuple(map(tuple, bench.calibration("cka")[1]["depth_map"]))
    assert (parts.large_shape.layers, parts.small_shape.layers) == (4, 2) and parts.statistics


def test_what_another_config_made_is_refused(bench, study):
    path = study.paths.run("rte", "finetune.small", 0) / "build.json"
    made = files.read_json(path)
    try:
        files.write_json(path, made | {"fingerprint": "other"})
        with pytest.raises(ValueError, match=r"build.json: made by another config \(other, not "):
            bench.system("finetune.small", 0)
    finally:
        files.write_json(path, made)
    assert bench.system("finetune.small", 0)[1] == made["train_flops_parts"]
    assert runs.made_model(study.grid, study.paths, FinetuneModel("rte", "finetune.small", 0))[1] == made
