import pytest
import torch

from graft.encoders.bert import encoder_of
from graft.merging.composite.stitch.maths import Stitched, joint, states
from graft.merging.heads.ridge import LinearMap
from graft.registry.cuts import cuts
from tests.unit.merging import relatives


def test_cuts_are_behind_each_small_layer_but_the_last_and_as_deep_in_the_large_model():
    found = cuts(4, 12)
    assert [(c.direction, c.below, c.above) for c in found] == [
        ("small_to_large", 1, 3), ("small_to_large", 2, 6), ("small_to_large", 3, 9),
        ("large_to_small", 3, 1), ("large_to_small", 6, 2), ("large_to_small", 9, 3),
    ]  # fmt: skip
    assert [c.number for c in found] == [1, 2, 3, -1, -2, -3]
    assert found[0].name == "small 1-1, large 4-" and found[-1].name == "large 1-9, small 4-"
    assert cuts(4, 12, "large_to_small") == found[3:]
    with pytest.raises(ValueError, match="the small model has 1 layer; it needs 2 or more"):
        cuts(1, 12)


@pytest.mark.parametrize("direction", ["small_to_large", "large_to_small"])
def test_a_model_stitched_to_itself_is_the_model(direction, pico_encoder, pico_batches):
    model, texts = pico_encoder(layers=3), pico_batches(examples=40)
    for cut in cuts(3, 3, direction):
        seen = states(model, {cut.below}, texts)[cut.below]
        for map_ in (joint(seen, seen, 0.0), LinearMap(torch.eye(8), torch.zeros(8))):
            stitched = Stitched(model, model, cut, map_).eval()
            with torch.no_grad():
                for batch in pico_batches(seed=3):
                    real = batch["attention_mask"].bool()
                    torch.testing.assert_close(
                        stitched(batch)[real], model(**batch).last_hidden_state[real], rtol=0, atol=1e-9
                    )


@pytest.mark.parametrize("direction", ["small_to_large", "large_to_small"])
def test_two_models_that_compute_the_same_can_be_cut_anywhere(direction, pico_encoder, pico_batches, shape_of):
    small = pico_encoder(layers=3)
    large = encoder_of(*relatives.widened(2)(small.state_dict(), shape_of(small)))
    models, texts = {"small": small, "large": large}, pico_batches(examples=60)
    for cut in cuts(3, 3, direction):
        below, above = (states(models[role], {2, 1}, texts)[cut.layer_of(role)] for role in cut.roles)
        stitched = Stitched(*(models[role] for role in cut.roles), cut, joint(below, above, 0.0)).eval()
        with torch.no_grad():
            for batch in pico_batches(seed=3):
                real = batch["attention_mask"].bool()
                expected = models[cut.roles[1]](**batch).last_hidden_state[real]
                torch.testing.assert_close(stitched(batch)[real], expected, rtol=0, atol=1e-8)
