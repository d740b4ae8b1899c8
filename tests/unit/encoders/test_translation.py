import pytest
import torch

from graft.encoders import translation
from graft.encoders.architecture import body_shapes
from graft.encoders.models import config_of, set_labels
from graft.encoders.network import Classifier
from tests.unit.families import FAMILIES, pico_shape


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_stored_comes_back(family):
    shape = pico_shape(family, layers=12, width=4, heads=2, ffn=6)
    config = config_of(shape)
    set_labels(config, ("a", "b", "c"))
    tensors = {name: torch.randn_like(tensor) for name, tensor in Classifier(config).state_dict().items()}
    body = {name.removeprefix("bert."): tensor for name, tensor in tensors.items() if name.startswith("bert.")}
    assert {name: tuple(tensor.shape) for name, tensor in body.items()} == body_shapes(shape)
    for found, wanted in (
        (translation.classifier(translation.stored_classifier(tensors, shape), shape), tensors),
        (translation.body(translation.stored_body(body, shape), shape), body),
    ):
        assert found.keys() == wanted.keys() and all(found[name].equal(tensor) for name, tensor in wanted.items())


def test_unknown_tensors_keep_their_names_and_buffers_go():
    shape = pico_shape("distilbert", layers=1, width=4, heads=2, ffn=6)
    stored = {"distilbert.extra": torch.zeros(1), "distilbert.embeddings.position_ids": torch.zeros(1)}
    assert list(translation.classifier(stored, shape)) == ["distilbert.extra"]
    assert list(translation.body({"extra": torch.zeros(1)}, shape)) == ["extra"]
