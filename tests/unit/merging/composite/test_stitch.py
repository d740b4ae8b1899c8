import pytest
import torch

from graft.encoders.models import encoder_of
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.stitch.maths import Stitched, joint, states
from graft.registry.cuts import cuts
from tests.unit.merging import relatives


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
