import pytest
import torch

from graft.encoders.models import encoder_of
from graft.merging.alignment.evidence import from_weights, with_evidence
from graft.merging.heterogeneous.spacewise.maths import Spacewise
from graft.merging.heterogeneous.theseus.maths import Theseus
from graft.merging.moments import read
from graft.merging.protocol import Parts
from graft.registry import depth, methods
from tests.unit.merging import relatives


@pytest.fixture
def related(pico_encoder, shape_of):
    """Parts without statistics, to be merged by evidence of the weights alone, and the right result."""

    def make(relative, method="spacewise", **options):
        small = pico_encoder(3, width=8, layers=2, heads=2, ffn=16)
        shape, before = shape_of(small), {n: t.clone() for n, t in small.state_dict().items()}
        generator = torch.Generator().manual_seed(9)
        after = {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in before.items()}
        (large, large_shape), (expected, _) = relative(before, shape), relative(after, shape)
        depth_map = depth.uniform(shape.layers, large_shape.layers)
        options = methods.checked_options(method, {"evidence": "weights", **options})
        return Parts(large, after, before, large_shape, shape, depth_map, None, options), expected

    return make


def test_moments_of_queries_are_those_of_all_embedded_tokens_put_through_the_layer(related):
    parts, _ = related(relatives.widened(2))
    statistics = from_weights(parts)
    made = []
    for body, shape in ((parts.small_pretrained, parts.small_shape), (parts.large, parts.large_shape)):
        model = encoder_of(body, shape)
        embeddings = model.embeddings
        every = torch.arange(shape.vocabulary)
        words = embeddings.word_embeddings(every) + embeddings.position_embeddings.weight.mean(0)
        states = embeddings.LayerNorm(words + embeddings.token_type_embeddings.weight[0])
        made.append(model.encoder.layer[1].attention.self.query(states).detach())
    moment = read(statistics, "layer.1-1.query.out", *(m.shape[1] for m in made))
    torch.testing.assert_close(moment.cross, made[0].T @ made[1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(moment.gram_large, made[1].T @ made[1], rtol=1e-9, atol=1e-9)
    assert moment.count == parts.small_shape.vocabulary


@torch.no_grad()
@pytest.mark.parametrize("relative", [relatives.identical, relatives.permuted, relatives.widened(2)])
def test_weights_alone_are_evidence_enough_where_units_are_copies(relative, related, pico_batches):
    parts, expected = related(relative, map_ridge=0)
    method = Spacewise()
    merged = method.apply(method.prepare(parts), 1.0)
    for batch in pico_batches(seed=4):
        found, wanted = (encoder_of(b, parts.large_shape)(**batch).last_hidden_state for b in (merged, expected))
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


def test_theseus_too_can_do_without_data_and_activations_must_be_there_where_they_are_asked_for(related):
    parts, _ = related(relatives.widened(2), "theseus")
    assert all(torch.isfinite(delta).all() for delta in Theseus().prepare(parts).by_name.values())
    parts, _ = related(relatives.identical, evidence="activations")
    with pytest.raises(ValueError, match="needs the moments of a calibration"):
        with_evidence(parts)


def test_likeness_of_layers_needs_activations():
    with pytest.raises(ValueError, match="depth cka compares activations"):
        methods.checked_options("spacewise", {"evidence": "weights", "depth": "cka"})
    assert not methods.checked_options("theseus", {"evidence": "weights"}).needs_calibration
    assert methods.checked_options("theseus", {}).needs_calibration
