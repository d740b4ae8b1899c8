import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from graft.flops.one_shape import linear_layers, matrices, merge_flops, parameters, statistic_flops, statistic_size
from graft.making.one_shape.multitask import HEAD
from graft.merging.homogeneous.fisher_gram import fisher_diagonal, gram_matrices
from graft.registry import methods

LABELS = ("no", "maybe", "yes")


@pytest.fixture
def model(pico_classifier):
    return pico_classifier(labels=LABELS)


@pytest.fixture
def batch():
    ids = torch.randint(0, 60, (1, 9), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.mark.parametrize("outputs", [len(LABELS), None])
def test_the_numbers_and_matrices_are_those_of_a_classifier_or_of_its_encoder(model, shape_of, outputs):
    tensors = dict(model.named_parameters())
    if outputs is None:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(HEAD)}
    shape = shape_of(model)
    assert parameters(shape, outputs) == sum(tensor.numel() for tensor in tensors.values())
    assert sorted(matrices(shape, outputs)) == sorted(tuple(t.shape) for t in tensors.values() if t.ndim == 2)
    linear = {f"{name}.weight" for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    assert sorted(linear_layers(shape, outputs)) == sorted(tuple(tensors[n].shape) for n in linear if n in tensors)


def test_statistics_hold_as_many_numbers_as_are_planned(model, shape_of, batch):
    found = {"fisher": fisher_diagonal(model, [batch]), "gram": gram_matrices(model, [batch])}
    for statistic, values in found.items():
        size = sum(value.numel() for value in values.values())
        assert statistic_size(statistic, shape_of(model), len(LABELS)) == size


def test_the_flops_of_a_fisher_diagonal_are_those_that_torch_counts(model, shape_of, batch):
    with FlopCounterMode(display=False) as counter:
        fisher_diagonal(model, [batch])
    assert counter.get_total_flops() == statistic_flops("fisher", shape_of(model), len(LABELS), 9)


def test_the_flops_of_gram_matrices_are_a_pass_and_the_products_of_every_layers_inputs(model, shape_of, batch):
    with FlopCounterMode(display=False) as counter:
        gram_matrices(model, [batch])
    layers = {f"{name}.": part for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    # Which torch does in place, and does not count; the head reads one token of each text.
    products = sum(2 * (1 if name.startswith(HEAD) else 9) * part.in_features**2 for name, part in layers.items())
    assert counter.get_total_flops() + products == statistic_flops("gram", shape_of(model), len(LABELS), 9)


def test_more_models_cost_more_and_decompositions_more_than_sums(model, shape_of):
    shape = shape_of(model)
    for method in methods.table(methods.ONE_SHAPE):
        two, four = (merge_flops(method, shape, 2, models) for models in (2, 4))
        assert 0 < two < four
        heavy = method in ("iso_c", "tsv", "regmean")
        assert (four > 2 * 4 * parameters(shape, 2)) == heavy
