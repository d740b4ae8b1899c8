import numpy as np
import pytest
import torch

from graft.encoders.features import last_states, pooled_states
from graft.encoders.models import load_encoder
from graft.flops.counts import encoder_flops
from graft.io import files
from graft.making.pair_inputs import PairInputs
from graft.study import runs
from graft.study.steps.finetune_model import FinetuneModel
from tests.unit.making.conftest import PAIR


@pytest.fixture(scope="module")
def study(make):
    theseus = {"heads": ["labelled"], "strengths": [0, 1], "fit_rows": 64, "depth": "cka"}
    return make({"merge": {"theseus": theseus, "logit_ensemble": {}}, "probe": {"pooling": ["mean"]}}, ("merge.*",))


@pytest.fixture
def inputs(study):
    return PairInputs(study.grid, study.paths, "rte", PAIR, 0, "cpu")


def test_frozen_states_are_those_of_the_untouched_large_model(inputs, study):
    model = load_encoder(study.paths.model("large"))
    for split in ("train", "select"):
        states = pooled_states(lambda b: last_states(model, b), "cls", inputs.tokens(split), inputs.max_tokens)
        assert inputs.frozen[f"{split}.cls"] == pytest.approx(states, abs=1e-5)


def test_a_score_is_that_of_the_labels_of_select(inputs):
    right = np.eye(2)[inputs.select_labels]
    assert inputs.score(right) == inputs.score(torch.from_numpy(right)) == 1.0 and inputs.score(1 - right) == 0.0


def test_flops_of_a_pass_are_those_of_the_rows_that_run(inputs):
    rows, shape = np.array([3, 4]), inputs.small_shape
    lengths = inputs.tokens("train").lengths(inputs.max_tokens)[rows]
    assert inputs.passes("small", "train", rows) == 2 * encoder_flops(shape, int(lengths.max()))
    assert inputs.passes("small", "train", rows, times=3) == 3 * inputs.passes("small", "train", rows)
    assert inputs.passes("large", "select") > inputs.passes("small", "select") > 0


def test_the_likeness_of_layers_is_paid_for_by_the_depth_map_that_reads_it(inputs, monkeypatch):
    made = inputs.calibration("cka")
    assert inputs.calibration_flops("cka") == made[1]["train_flops_parts"]
    # Another depth map over the same statistics.
    monkeypatch.setattr(inputs, "calibration", lambda depth: made)
    left = made[1]["train_flops_parts"].keys() - inputs.calibration_flops("uniform").keys()
    assert len(left) == 1 and left.pop().endswith("/similarity")


def test_parts_are_the_two_models_the_fine_tuned_one_and_what_was_calibrated(inputs, study):
    parts = inputs.parts("theseus")
    large, small = (load_encoder(study.paths.model(name)).state_dict() for name in ("large", "small"))
    assert all(parts.large[name].equal(large[name]) for name in large)
    assert all(parts.small_pretrained[name].equal(small[name]) for name in small)
    assert any(not parts.small_finetuned[name].equal(small[name]) for name in small)
    assert parts.depth_map == tuple(map(tuple, inputs.calibration("cka")[1]["depth_map"]))
    assert (parts.large_shape.layers, parts.small_shape.layers) == (4, 2) and parts.moments


def test_what_another_config_made_is_refused(inputs, study):
    path = study.paths.run("rte", "finetune.small", 0) / "build.json"
    made = files.read_json(path)
    try:
        files.write_json(path, made | {"fingerprint": "other"})
        with pytest.raises(ValueError, match=r"build.json: made by another config \(other, not "):
            inputs.system("finetune.small", 0)
    finally:
        files.write_json(path, made)
    assert inputs.system("finetune.small", 0)[1] == made["train_flops_parts"]
    assert runs.made_model(study.grid, study.paths, FinetuneModel("rte", "finetune.small", 0))[1] == made
