import pytest
import torch

from graft.encoders.models import encoder_of
from graft.merging.heterogeneous.grow.maths import Grow, Placement
from graft.merging.protocol import Parts
from graft.registry import depth
from graft.registry.shapes import Shape
from tests.unit.merging import relatives


@pytest.fixture
def parts_of(pico_encoder, shape_of, pico_batches):
    def make(width=16, layers=2, heads=4, ffn=32, plain=False):
        small = pico_encoder(1, width=8, layers=2, heads=2, ffn=16)
        large = pico_encoder(2, width=width, layers=layers, heads=heads, ffn=ffn)
        body = small.state_dict()
        if plain:
            body = relatives.plain_norms(body)
        shapes = shape_of(large), shape_of(small)
        return Parts(large.state_dict(), body, body, *shapes, depth.uniform(2, layers), texts=pico_batches())

    return make


# Two copies in more heads or in wider ones; three copies in more and wider heads, and in more of the same.
@pytest.mark.parametrize(("width", "heads"), [(16, 4), (16, 2), (24, 3), (24, 6)])
def test_growing_by_whole_copies_keeps_the_function(width, heads, parts_of):
    assert Grow().prepare(parts_of(width=width, heads=heads)).diagnostics["growing"] < 1e-9


def test_empty_layers_are_exact_behind_plain_layer_norms(parts_of):
    assert Grow().prepare(parts_of(layers=4, plain=True)).diagnostics["growing"] < 1e-9
    assert 1e-3 < Grow().prepare(parts_of(layers=4)).diagnostics["growing"] < 1


def test_padding_by_the_mean_is_nearly_exact_and_its_error_is_reported(parts_of):
    error = Grow().prepare(parts_of(width=20, heads=2)).diagnostics["growing"]
    assert 1e-6 < error < 0.5


def test_idle_layers_behind_padded_units_are_nearly_exact_too(parts_of):
    padded = Grow().prepare(parts_of(width=20, heads=2, layers=4, plain=True)).diagnostics["growing"]
    assert padded < 2 * Grow().prepare(parts_of(width=20, heads=2, plain=True)).diagnostics["growing"] + 1e-3


def test_at_strength_one_the_result_computes_what_the_small_model_did(parts_of):
    parts = parts_of()
    method = Grow()
    merged = method.apply(method.prepare(parts), 1.0)
    placement = Placement.of(parts.small_shape, parts.large_shape)
    with torch.no_grad():
        for batch in parts.texts:
            wanted = encoder_of(parts.small_finetuned, parts.small_shape)(**batch).last_hidden_state @ placement.stream
            found = encoder_of(merged, parts.large_shape)(**batch).last_hidden_state
            real = batch["attention_mask"].bool()
            torch.testing.assert_close(found[real], wanted[real], atol=1e-9, rtol=0)


def test_heads_without_room_are_told():
    with pytest.raises(ValueError, match="4 heads of 8 units do not fit into 2 heads of 32"):
        Placement.of(Shape(2, 32, 4, 64, 60), Shape(4, 64, 2, 128, 60))
