"""Properties of every composite whose own weights are trained."""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from graft.encoders.models import load_classifier, load_encoder
from graft.encoders.saving import save_model
from graft.encoders.states import Frozen
from graft.io.files import read_json, write_json
from graft.merging import predictors
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest
from graft.merging.composite.calm.maths import Calm
from graft.merging.composite.ladder.maths import Ladder
from graft.merging.composite.side_tuning.maths import SideTuned
from graft.merging.composite.trained import Trained
from graft.merging.loading import load
from graft.registry import depth
from graft.registry.depth import DepthMap
from graft.registry.shapes import Shape
from tests.unit.conftest import LARGE, SMALL, VOCABULARY
from tests.unit.counting import counting_flops

LABELS = [("no", "yes"), ("a", "b", "c"), None]
# The second small model is the wider one of its pair.
WIDER = Shape(3, 12, 4, 16, VOCABULARY, positions=16), Shape(4, 10, 5, 14, VOCABULARY, positions=16)
SETTINGS = [(SMALL, LARGE, "mean"), (*WIDER, "cls")]
# Keys of composite.json, and the parent that a composite is before it is trained.
KINDS = {
    "side_tuning": (("pooling",), "probe"),
    "ladder": (("depth_map",), "small"),
    "calm": (("depth_map", "pooling"), "probe"),
}
EVERY = [
    pytest.param(kind, labels, setting, id=f"{kind}-{len(labels or ['score'])}-{setting[2]}")
    for kind, labels, setting in itertools.product(KINDS, LABELS, SETTINGS)
]


@dataclass(frozen=True)
class Case:
    """A kind of composite with folders of its parts and of its parents."""

    kind: str
    root: Path
    small: Shape
    large: Shape
    pooling: str
    depth_map: DepthMap
    head: LinearMap

    @property
    def parent(self) -> Path:
        return self.root / KINDS[self.kind][1]

    def module(self, seed: int = 0) -> Trained:
        """The module as it is before it is trained."""
        model = load_classifier(self.root / "small")
        if self.kind == "side_tuning":
            return SideTuned(model.bert, self.head, self.pooling)
        if self.kind == "ladder":
            return Ladder(model, self.large.width, self.depth_map)
        return Calm(self.small, len(self.depth_map), self.head, self.pooling, seed)

    def frozen(self) -> dict[str, Frozen]:
        """The frozen models whose states it reads."""
        large = load_encoder(self.root / "large")
        if self.kind == "side_tuning":
            return {"large": Frozen(large, [self.large.layers - 1], self.pooling)}
        small_layers, large_layers = zip(*self.depth_map, strict=True)
        found = {"large": Frozen(large, large_layers)}
        if self.kind == "calm":
            found["small"] = Frozen(load_encoder(self.root / "small"), small_layers)
        return found

    def save(self, module: Trained) -> Path:
        """The folder of this composite with a module's weights."""
        parts = {"small": self.root / "small", "large": self.root / "large"}
        fields = {key: getattr(self, key) for key in KINDS[self.kind][0]}
        manifest.write(self.root / "made", self.kind, parts, {manifest.TRAINED: module.state_dict()}, **fields)
        return self.root / "made"


@pytest.fixture
def make_case(pico_classifier, tmp_path):
    """Makes a case from its kind, labels, shapes and pooling."""

    def make(kind, labels, setting) -> Case:
        small, large, pooling = setting
        for seed, (name, shape) in enumerate((("small", small), ("large", large)), start=1):
            model = pico_classifier(seed, labels, shape.width, shape.layers, shape.heads, shape.ffn)
            save_model(model if name == "small" else model.bert, tmp_path / name)
        outputs = len(labels or ("score",))
        draws = torch.Generator().manual_seed(3)
        head = LinearMap(torch.randn(outputs, large.width, generator=draws), torch.randn(outputs, generator=draws))
        encoder = {"encoder": tmp_path / "large"}
        manifest.write(tmp_path / "probe", "probe", encoder, {manifest.HEAD: head}, pooling=pooling)
        # A ladder that ends before the large model does.
        depth_map = depth.uniform(small.layers, large.layers - (kind == "ladder"))
        return Case(kind, tmp_path, small, large, pooling, depth_map, head)

    return make


def moved(module: Trained, by: float = 0.3) -> Trained:
    """A module with every weight moved, so that nothing of it is zero any more."""
    draws = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += by * torch.randn(parameter.shape, generator=draws)
    return module


def digest(model: torch.nn.Module) -> str:
    content = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        content.update(name.encode() + tensor.numpy().tobytes())
    return content.hexdigest()


def states(frozen: Mapping[str, Frozen], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: model(batch) for name, model in frozen.items()}


@pytest.mark.parametrize(("kind", "labels", "setting"), EVERY)
def test_before_it_is_trained_it_answers_as_its_parent(make_case, pico_batches, kind, labels, setting):
    case = make_case(kind, labels, setting)
    module, frozen = case.module().eval(), case.frozen()
    parent, predictor = load(case.parent), load(case.save(module))
    for batch in pico_batches():
        expected = parent.logits(batch)
        torch.testing.assert_close(predictor.logits(batch), expected, rtol=1e-6, atol=1e-6)
        with torch.no_grad():
            logits = module(**batch, **states(frozen, batch)).logits
        torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("kind", "labels", "setting"), EVERY)
def test_padding_does_not_change_the_answers(make_case, pico_batches, kind, labels, setting):
    case = make_case(kind, labels, setting)
    predictor = load(case.save(moved(case.module())))
    batch = pico_batches()[0]
    expected = predictor.logits(batch)
    padded = {name: functional.pad(value, (0, 5)) for name, value in batch.items()}
    torch.testing.assert_close(predictor.logits(padded), expected, rtol=1e-5, atol=1e-5)
    for n, length in enumerate(batch["attention_mask"].sum(1)):
        alone = {name: value[n : n + 1, :length] for name, value in batch.items()}
        torch.testing.assert_close(predictor.logits(alone), expected[n : n + 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "labels", "setting"), EVERY)
def test_training_moves_all_of_it_and_nothing_of_the_frozen_models(make_case, pico_batches, kind, labels, setting):
    case = make_case(kind, labels, setting)
    module, frozen = case.module(), case.frozen()
    live = predictors.trained(module, frozen, lambda tokens: 0, lambda tokens: 0)
    before = {name: digest(model) for name, model in frozen.items()}
    batch = pico_batches()[0]
    wanted = torch.arange(4) % len(labels) if labels else torch.linspace(0, 5, 4)
    started_at_zero = [p for name, p in module.named_parameters() if name.endswith("weight") and not p.any()]
    assert started_at_zero
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    for _ in range(3):
        module.train()(wanted, **batch, **states(frozen, batch)).loss.backward()
        assert all(p.grad is not None for p in module.parameters())
        optimizer.step()
        optimizer.zero_grad()
        module.eval()
        live.logits(batch)
    trained = live.logits(batch)
    assert not torch.allclose(trained, load(case.parent).logits(batch), atol=1e-3)
    assert all(p.any() for p in started_at_zero)
    assert {name: digest(model) for name, model in frozen.items()} == before
    assert torch.equal(load(case.save(module)).logits(batch), trained)


@pytest.mark.parametrize(("kind", "labels", "setting"), EVERY)
def test_it_costs_what_runs(make_case, pico_batches, kind, labels, setting):
    case = make_case(kind, labels, setting)
    module, predictor = case.module(), load(case.save(case.module()))
    batch = {name: value[:2] for name, value in pico_batches()[0].items()}
    with counting_flops() as counted:
        predictor.logits(batch)
    assert counted.get_total_flops() == 2 * predictor.flops(10)
    read = [*case.frozen().values(), module]
    assert predictor.parameters == sum(p.numel() for part in read for p in part.parameters())
    assert predictor.bytes == 4 * predictor.parameters


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_ladder_drops_out_what_the_small_model_drops_out(make_case, pico_batches, setting):
    case = make_case("ladder", LABELS[1], setting)
    small, ladder, batch = load_classifier(case.root / "small").train(), case.module().train(), pico_batches()[0]
    torch.manual_seed(5)
    expected = small(**batch).logits
    torch.manual_seed(5)
    logits = ladder(**batch, **states(case.frozen(), batch)).logits
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(logits, load(case.parent).logits(batch), atol=1e-3)


def test_links_are_drawn_by_their_seed_alone(make_case):
    case = make_case("calm", LABELS[0], SETTINGS[0])
    one, same, other = (case.module(seed) for seed in (1, 1, 2))
    assert digest(one) == digest(same) != digest(other)
    keys = [link.key.weight for link in one.links]
    assert not torch.equal(*keys)
    assert torch.cat([key.flatten() for key in keys]).std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_those_saved_are_refused(make_case, kind):
    case = make_case(kind, LABELS[0], SETTINGS[0])
    made = case.save(case.module())
    file = made / manifest.TRAINED
    probe = {"small": made, "probe": case.root / "probe"}
    manifest.write(case.root / "mix", "logit_ensemble", probe, beta=0.5, scales=None)
    assert "../made/trained.safetensors" in read_json(case.root / "mix" / manifest.FILE)["sha256"]
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"trained.safetensors: not the file") as error:
        load(made)
    assert "\n" not in str(error.value)


def test_weights_of_another_module_are_named(make_case):
    case = make_case("ladder", LABELS[0], SETTINGS[0])
    path = case.save(case.module()) / manifest.FILE
    write_json(path, {**read_json(path), "depth_map": [[0, 0], [0, 1], [1, 3]]})
    with pytest.raises(ValueError, match=r"trained.safetensors: tensor downs.2.weight is missing"):
        load(path.parent)
