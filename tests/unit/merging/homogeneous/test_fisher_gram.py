import types

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from graft.encoders.models import config_of, load_classifier, new_classifier
from graft.encoders.network import Classifier
from graft.encoders.saving import save_model
from graft.io import files
from graft.merging.homogeneous.fisher_gram import KINDS, fisher_diagonal, gram_matrices, of_folder, write
from graft.merging.homogeneous.folders import Order, merge
from graft.registry.methods import ONE_SHAPE, table
from tests.unit.families import FAMILIES, pico_shape


class Linear(torch.nn.Module):
    """Logits of a linear layer."""

    def __init__(self, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(3, outputs).double()

    def forward(self, states, attention_mask=None):
        return types.SimpleNamespace(logits=self.layer(states))


def batches(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [{"states": torch.randn(size, 3, generator=generator, dtype=torch.float64)} for size in sizes]


def test_the_fisher_diagonal_of_a_softmax_is_its_closed_form():
    model, parts = Linear(4), batches(2, 3)
    states = torch.cat([part["states"] for part in parts])
    shares = model(states).logits.softmax(dim=1).detach()
    found = fisher_diagonal(model, parts)
    # d log p_y / d b_k = [y = k] - p_k, whose square has expectation p_k (1 - p_k).
    bias = shares * (1 - shares)
    assert torch.allclose(found["layer.bias"].double(), bias.mean(dim=0))
    assert torch.allclose(found["layer.weight"].double(), bias.T @ states.square() / len(states))


def test_a_score_is_a_normal_distributions_mean():
    model, parts = Linear(1), batches(4)
    found = fisher_diagonal(model, parts)
    assert torch.allclose(found["layer.weight"][0].double(), parts[0]["states"].square().mean(dim=0))
    assert found["layer.bias"] == 1


def test_batches_do_not_change_a_fisher_diagonal():
    model = Linear(3)
    (one,) = batches(6)
    split = [{"states": one["states"][i : i + 2]} for i in range(0, 6, 2)]
    whole, parts = fisher_diagonal(model, [one]), fisher_diagonal(model, split)
    assert all(torch.allclose(whole[name], parts[name]) for name in whole)


def test_gram_matrices_are_of_a_layers_inputs_without_padding():
    model = Linear(2)
    states = torch.randn(2, 4, 3, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]])
    found = gram_matrices(model, [{"states": states, "attention_mask": mask}])
    kept = torch.cat([states[0, :2], states[1, :3]])
    assert set(found) == {"layer.weight"}
    assert torch.allclose(found["layer.weight"].double(), kept.T @ kept / 5)
    assert not model.layer._forward_pre_hooks


def test_gram_matrices_of_batches_are_their_mean_over_all_rows():
    model, parts = Linear(2), batches(2, 5)
    states = torch.cat([part["states"] for part in parts])
    assert torch.allclose(gram_matrices(model, parts)["layer.weight"].double(), states.T @ states / 7)


@pytest.mark.parametrize("compute", [fisher_diagonal, gram_matrices])
def test_no_examples_are_an_error(compute):
    with pytest.raises(ValueError, match="on examples; there are none"):
        compute(Linear(2), [])


def test_a_classifiers_statistics_are_named_as_its_tensors(pico_classifier, tmp_path):
    model = pico_classifier()
    ids = torch.randint(0, 60, (4, 7), generator=torch.Generator().manual_seed(1))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    fisher, grams = fisher_diagonal(model, [batch]), gram_matrices(model, [batch])
    assert {name: value.shape for name, value in fisher.items()} == {n: p.shape for n, p in model.named_parameters()}
    assert {name for name, value in grams.items()} <= set(fisher) and "classifier.weight" in grams
    write(fisher, model.shape, tmp_path / "fisher.safetensors")
    assert all(np.array_equal(load_file(tmp_path / "fisher.safetensors")[name], fisher[name]) for name in fisher)


@pytest.mark.parametrize("family", FAMILIES)
def test_statistics_are_stored_under_the_names_of_the_models_files(family, tmp_path):
    model = Classifier(config_of(pico_shape(family, 2, 8, 2, 20)))
    ids = torch.randint(5, 60, (2, 7), generator=torch.Generator().manual_seed(1))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    save_model(model, tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    for name, compute in KINDS.items():
        write(compute(model.eval(), [batch]), model.shape, tmp_path / f"{name}.safetensors")
        found = load_file(tmp_path / f"{name}.safetensors")
        assert found.keys() <= stored.keys()
        if name == "fisher":
            assert {key: value.shape for key, value in found.items()} == {k: v.shape for k, v in stored.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_folders_statistics_are_those_that_a_merge_reads(kind, pico_models, tmp_path):
    members = []
    for seed in range(2):
        folder = tmp_path / f"model-{seed}"
        save_model(new_classifier(pico_models / "small", ("no", "yes"), seed), folder)
        files.copy_into(pico_models / "small", folder, files.TOKENIZER)
        (tmp_path / "texts.txt").write_text("good film\nbad story ending\n" * 3)
        members.append(folder)
        found = of_folder(kind, folder, tmp_path / "texts.txt", tmp_path / f"statistics-{seed}", 4, 128)
        assert found == tmp_path / f"statistics-{seed}" / f"{kind}.safetensors"
    with pytest.raises(ValueError, match="already exists; name another folder"):
        of_folder(kind, folder, tmp_path / "texts.txt", tmp_path / "statistics-1", 4, 128)
    (method,) = (facts.name for facts in table(ONE_SHAPE).values() if facts.statistics == f"{kind}.safetensors")
    read = tuple(tmp_path / f"statistics-{seed}" for seed in range(2))
    merge(Order(method, tuple(members), tmp_path / "merged", statistics=read), lambda *_: None)
    assert load_classifier(tmp_path / "merged").config.id2label == {0: "no", 1: "yes"}


def test_a_statistic_that_is_not_known_is_answered_with_those_that_are(tmp_path):
    with pytest.raises(ValueError, match="--kind gramm: must be one of fisher, gram"):
        of_folder("gramm", tmp_path, tmp_path, tmp_path, 4, 128)
