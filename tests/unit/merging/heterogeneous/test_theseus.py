import copy
from dataclasses import replace

import pytest
import torch

from graft.encoders.architecture import BLOCK_OUT, EMBEDDINGS, LINEARS, NORMS, WORD_EMBEDDINGS
from graft.merging.alignment.procrustes import procrustes
from graft.merging.calibration import calibrate
from graft.merging.heterogeneous.theseus.maths import Theseus

# As the authors' code has it by default, and the variant that was here first.
VARIANTS = [{}, {"centred": True, "layernorm": "leave"}]


@pytest.fixture
def finetuned():
    """A copy of an encoder with every weight changed."""

    def make(model):
        generator = torch.Generator().manual_seed(7)
        copied = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
        return copied

    return make


@pytest.fixture
def pair(pico_encoder):
    return pico_encoder(1, width=4, layers=2, ffn=8), pico_encoder(2, width=8, layers=4, ffn=16)


def _full_rank_statistics(shape, layers, turn=lambda name, x: x):
    """Statistics at sites whose covariance has full rank, of a model with itself or with one that is turned."""
    generator = torch.Generator().manual_seed(3)
    statistics = {}
    sites = {site: None for ends in LINEARS.values() for site in ends} | {BLOCK_OUT: None}
    names = [(EMBEDDINGS, shape.width)]
    wide = ("ffn", "intermediate.out")
    names += [(f"layer.{m}-{m}.{s}", shape.ffn if s in wide else shape.width) for m in range(layers) for s in sites]
    for name, width in names:
        x = torch.randn(100, width, generator=generator, dtype=torch.float64) + 1
        y = turn(name, x)
        statistics |= {
            f"{name}.count": torch.tensor(100),
            f"{name}.small": x.sum(0),
            f"{name}.large": y.sum(0),
            f"{name}.cross": x.T @ y,
        }
    return statistics


def test_strength_zero_gives_the_large_model_exactly(pair, finetuned, make_parts, pico_batches):
    small, large = pair
    large = large.float()
    statistics = calibrate(small, large.double(), ((0, 1), (1, 3)), pico_batches())
    method = Theseus()
    large = large.float()
    merged = method.apply(
        method.prepare(make_parts(large, finetuned(small), small, statistics, embedding_delta=True)), 0
    )
    assert merged.keys() == large.state_dict().keys()
    for name, tensor in large.state_dict().items():
        assert torch.equal(merged[name], tensor) and merged[name].dtype == torch.float32


def test_no_change_of_the_small_model_gives_the_large_model_at_any_strength(pair, make_parts, pico_batches):
    small, large = pair
    method = Theseus()
    state = method.prepare(make_parts(large, small, small, calibrate(small, large, ((0, 1), (1, 3)), pico_batches())))
    for name, tensor in method.apply(state, 3.0).items():
        assert torch.equal(tensor, large.state_dict()[name])


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_between_identical_models_the_change_arrives_as_it_is(options, pico_encoder, finetuned, make_parts, shape_of):
    model = pico_encoder()
    tuned = finetuned(model)
    method = Theseus()
    statistics = _full_rank_statistics(shape_of(model), 2)
    parts = make_parts(model, tuned, model, statistics, embedding_delta=True, **options)
    merged = method.apply(method.prepare(parts), 1.0)
    for name, tensor in merged.items():
        left = name.startswith("pooler") or "position" in name or "token_type" in name
        left |= "LayerNorm" in name and options.get("layernorm") == "leave"
        expected = model if left else tuned
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["permutation", "rotation"])
@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_maps_with_orthonormal_rows_into_a_wider_model_are_found(options, kind, pair, finetuned, make_parts, shape_of):
    """Every site of the large model has the small one's activations, permuted or turned, in twice as many units."""
    small, large = pair
    tuned, maps = finetuned(small), {}

    def turn(name, x):
        generator = torch.Generator().manual_seed(len(maps))
        if kind == "rotation":
            drawn = torch.randn(2 * x.shape[1], x.shape[1], generator=generator, dtype=torch.float64)
            maps[name] = torch.linalg.qr(drawn).Q.T
        else:
            units = torch.randperm(2 * x.shape[1], generator=generator)[: x.shape[1]]
            maps[name] = torch.eye(2 * x.shape[1], dtype=torch.float64)[units]
        return x @ maps[name]

    parts = make_parts(large, tuned, small, _full_rank_statistics(shape_of(small), 2, turn), **options)
    deltas = Theseus().prepare(replace(parts, depth_map=((0, 0), (1, 1)))).by_name
    change = {name: tensor - small.state_dict()[name] for name, tensor in tuned.state_dict().items()}
    for m in range(2):
        for linear, sites in LINEARS.items():
            name, (entry, exit) = f"encoder.layer.{m}.{linear}", (maps[f"layer.{m}-{m}.{site}"] for site in sites)
            torch.testing.assert_close(deltas[f"{name}.weight"], exit.T @ change[f"{name}.weight"] @ entry)
            torch.testing.assert_close(deltas[f"{name}.bias"], change[f"{name}.bias"] @ exit)
        for norm, site in NORMS.items() if "layernorm" not in options else ():
            for end in ("weight", "bias"):
                name = f"encoder.layer.{m}.{norm}.{end}"
                torch.testing.assert_close(deltas[name], change[name] @ maps[f"layer.{m}-{m}.{site}"])


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_each_change_lies_between_its_layers_own_maps_at_the_depth_mapped_to(
    options, pair, finetuned, make_parts, pico_batches
):
    small, large = pair
    tuned = finetuned(small)
    statistics = calibrate(small, large, ((0, 1), (1, 3)), pico_batches(examples=40))
    deltas = Theseus().prepare(make_parts(large, tuned, small, statistics, **options)).by_name

    def map_(site):
        count, sums, others, cross = (
            statistics[f"layer.1-3.{site}.{name}"] for name in ("count", "small", "large", "cross")
        )
        return procrustes(cross - torch.outer(sums, others) / count if options.get("centred") else cross)

    name = "output.dense.weight"
    change = tuned.state_dict()[f"encoder.layer.1.{name}"] - small.state_dict()[f"encoder.layer.1.{name}"]
    expected = map_("output.out").T @ change @ map_("ffn")
    torch.testing.assert_close(deltas[f"encoder.layer.3.{name}"], expected)
    assert {name.split(".")[2] for name in deltas if name.startswith("encoder")} == {"1", "3"}
    norms = {name for name in deltas if "LayerNorm" in name}
    assert len(norms) == (0 if "layernorm" in options else 10)
    assert not any(name.startswith(("embeddings", "pooler")) for name in deltas.keys() - norms)


def test_means_make_another_map_unless_they_are_taken_off(pair, finetuned, make_parts, pico_batches):
    small, large = pair
    statistics = calibrate(small, large, ((0, 1), (1, 3)), pico_batches(examples=40))
    one, other = (
        Theseus().prepare(make_parts(large, finetuned(small), small, statistics, centred=centred)).by_name
        for centred in (False, True)
    )
    assert one.keys() == other.keys() and not torch.allclose(
        *(d["encoder.layer.1.output.dense.bias"] for d in (one, other))
    )


def test_two_by_two_by_hand(pico_encoder, make_parts, shape_of):
    """Width 2, one head, one layer: the query's input is swapped and its output turned by a quarter."""
    model = pico_encoder(width=2, layers=1, heads=1, ffn=2)
    tuned = copy.deepcopy(model)
    name = "encoder.layer.0.attention.self.query"
    with torch.no_grad():
        tuned.get_parameter(f"{name}.weight").add_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tuned.get_parameter(f"{name}.bias").add_(torch.tensor([5.0, 6.0]))
    statistics = _full_rank_statistics(shape_of(model), 1)
    zero = torch.zeros(2, dtype=torch.float64)
    # Small unit 0 goes with large unit 1 and the other way round; C = U S V^T with U V^T = the swap itself.
    swap = {"cross": torch.tensor([[0.0, 3.0], [2.0, 0.0]]), "small": zero, "large": zero}
    # Small unit 0 goes with large unit 1, small unit 1 with the negative of large unit 0.
    turn = {"cross": torch.tensor([[0.0, 5.0], [-4.0, 0.0]]), "small": zero, "large": zero}
    for site, values in (("attention.in", swap), ("query.out", turn)):
        statistics |= {f"layer.0-0.{site}.{key}": value.double() for key, value in values.items()}
    deltas = Theseus().prepare(make_parts(model, tuned, model, statistics)).by_name
    # T_out^T dW T_in = [[0,-1],[1,0]] [[1,2],[3,4]] [[0,1],[1,0]] = [[-4,-3],[2,1]]; T_out^T db = [-6, 5].
    expected = torch.tensor([[-4.0, -3.0], [2.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(deltas[f"{name}.weight"], expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(deltas[f"{name}.bias"], torch.tensor([-6.0, 5.0], dtype=torch.float64))


@pytest.mark.parametrize(("centred", "rank"), [(False, 4), (True, 3)])
def test_the_rank_of_a_change_is_at_most_the_small_width(centred, rank, pair, finetuned, make_parts, pico_batches):
    small, large = pair
    statistics = calibrate(small, large, ((0, 1), (1, 3)), pico_batches(examples=40))
    parts = make_parts(large, finetuned(small), small, statistics, embedding_delta=True, centred=centred)
    deltas = Theseus().prepare(parts).by_name
    # One less than the width of 4 if centred, since a LayerNorm's output has no covariance along its gain.
    assert torch.linalg.matrix_rank(deltas["encoder.layer.1.attention.self.query.weight"]) == rank
    assert torch.linalg.matrix_rank(deltas[WORD_EMBEDDINGS]) == rank


def test_a_tensor_or_statistic_of_another_shape_is_named(pair, finetuned, make_parts, pico_batches):
    small, large = pair
    statistics = calibrate(small, large, ((0, 1), (1, 3)), pico_batches())
    parts = make_parts(large, finetuned(small), small, statistics)
    parts.small_finetuned["encoder.layer.1.attention.self.key.bias"] = torch.zeros(5)
    with pytest.raises(ValueError, match=r"fine-tuned small model: tensor encoder.layer.1.attention.self.key.bias has"):
        Theseus().prepare(parts)
    statistics["layer.0-1.context.cross"] = torch.zeros(4, 7)
    with pytest.raises(ValueError, match=r"layer.0-1.context.cross has shape \[4, 7\], not \[4, 8\]"):
        Theseus().prepare(make_parts(large, finetuned(small), small, statistics))
    with pytest.raises(ValueError, match="needs the moments"):
        Theseus().prepare(make_parts(large, small, small))
