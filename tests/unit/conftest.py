"""Pico BERTs: a few layers, a few units, random weights large enough that nothing is linear by accident."""

import pytest
import torch

from graft.encoders.models import config_of, encoder_of, set_labels
from graft.encoders.network import Classifier, Encoder
from graft.merging.calibration import calibrate
from graft.merging.protocol import Parts
from graft.registry import depth, methods
from graft.registry.shapes import Shape
from tests.unit.families import pico_shape

VOCABULARY = 60
# Layers, heads and feed-forward units of small and large that do not divide one another.
SMALL, LARGE = (Shape(*sizes, VOCABULARY, positions=16) for sizes in ((2, 8, 2, 20), (5, 18, 3, 30)))


def _randomise(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.dtype)
            parameter.copy_((1 + 0.1 * noise) if name.endswith("LayerNorm.weight") else 0.3 * noise)


@pytest.fixture
def pico_encoder():
    """Makes a float64 encoder in eval mode, its weights drawn from `seed`."""

    def make(seed=0, width=8, layers=2, heads=2, ffn=16, vocabulary=VOCABULARY, family="bert") -> Encoder:
        model = Encoder(config_of(pico_shape(family, layers, width, heads, ffn, vocabulary))).double()
        _randomise(model, seed)
        return model.eval()

    return make


@pytest.fixture
def pico_classifier():
    """Makes a float32 classifier in eval mode; `labels` None is a score."""

    def make(seed=0, labels=("no", "yes"), width=8, layers=2, heads=2, ffn=16) -> Classifier:
        config = config_of(Shape(layers, width, heads, ffn, VOCABULARY, positions=16))
        set_labels(config, labels)
        model = Classifier(config)
        _randomise(model, seed)
        return model.eval()

    return make


@pytest.fixture
def pico_batches():
    """Makes batches of random tokens with padding, the same texts whatever the batch size."""

    def make(examples=12, size=4, seed=0) -> list[dict[str, torch.Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(1, VOCABULARY, (examples, 10), generator=generator)
        lengths = torch.randint(3, 11, (examples,), generator=generator)
        mask = (torch.arange(10)[None] < lengths[:, None]).long()
        types = torch.randint(0, 2, (examples, 10), generator=generator) * mask
        whole = {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types}
        return [{k: v[i : i + size] for k, v in whole.items()} for i in range(0, examples, size)]

    return make


@pytest.fixture
def shape_of():
    """Shape of a model."""
    return lambda model: model.shape


@pytest.fixture
def make_parts(shape_of):
    """Parts of a merge from three encoders, with the options of a method."""

    def make(large, small_finetuned, small_pretrained, moments=None, method="theseus", **options) -> Parts:
        shapes = shape_of(large), shape_of(small_pretrained)
        depth_map = depth.uniform(shapes[1].layers, shapes[0].layers)
        options = methods.checked_options(method, options)
        bodies = (model.state_dict() for model in (large, small_finetuned, small_pretrained))
        return Parts(*bodies, *shapes, depth_map, moments, options)

    return make


@pytest.fixture
def encoder_shaped(pico_encoder):
    """Makes a pico encoder of a shape."""

    def make(shape: Shape, seed: int = 0) -> Encoder:
        return pico_encoder(seed, shape.width, shape.layers, shape.heads, shape.ffn)

    return make


@pytest.fixture
def parts_of(encoder_shaped, pico_batches):
    """Parts of a merge by any method, with all that it may ask for; fine-tuning changed every weight by `change`."""

    def make(method, change=0.1, dtype=torch.float64, shapes=(SMALL, LARGE), batches=None, **options) -> Parts:
        bodies = [
            {name: tensor.to(dtype) for name, tensor in encoder_shaped(shape, seed).state_dict().items()}
            for seed, shape in enumerate(shapes, start=1)
        ]
        generator = torch.Generator().manual_seed(3)
        tuned = {
            name: tensor + change * torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)
            for name, tensor in bodies[0].items()
        }
        options = methods.checked_options(method, options)
        layers = [shape.layers for shape in shapes]
        similarity = torch.rand(layers, generator=generator).tolist()
        depth_map = depth.named(options.depth, *layers, similarity)
        batches = pico_batches(examples=60, size=20) if batches is None else batches
        encoders = (encoder_of(body, shape) for body, shape in zip(bodies, shapes, strict=True))
        moments = calibrate(*encoders, depth_map, batches)
        return Parts(bodies[1], tuned, bodies[0], *shapes[::-1], depth_map, moments, options, batches)

    return make
