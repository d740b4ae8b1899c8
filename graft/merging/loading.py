"""Load any system that `evaluate` can run: a classifier folder or a composite."""

import functools
from collections.abc import Callable
from pathlib import Path

import torch

from graft.encoders.bert import load_classifier, load_encoder
from graft.encoders.states import Frozen
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest
from graft.merging.composite.calm.maths import Calm
from graft.merging.composite.ladder.maths import Ladder
from graft.merging.composite.logit_ensemble import maths as logit_ensemble
from graft.merging.composite.manifest import Composite
from graft.merging.composite.proxy_tuning import maths as proxy_tuning
from graft.merging.composite.side_tuning.maths import SideTuned
from graft.merging.composite.stitch.maths import Stitched
from graft.merging.predictors import (
    ClassifierPredictor,
    ConstantPredictor,
    MixedPredictor,
    Predictor,
    ProbePredictor,
    StitchPredictor,
    TrainedPredictor,
)
from graft.registry import methods
from graft.registry.cuts import Cut
from graft.registry.shapes import Shape


def load(folder: str | Path) -> Predictor:
    """Load the system saved in `folder`, in float32 and eval mode on the CPU.

    Raises ValueError if the folder holds neither a composite nor a classifier, or if a composite's part has changed.
    """
    folder = Path(folder)
    if (folder / manifest.FILE).is_file():
        composite = manifest.read(folder)
        return _LOADERS[composite.kind](composite)
    if (folder / "config.json").is_file():
        return ClassifierPredictor(load_classifier(folder), Shape.of(folder))
    raise ValueError(f"{folder}: holds no system; it must have {manifest.FILE} or config.json and model.safetensors")


def _constant(composite: Composite) -> ConstantPredictor:
    return ConstantPredictor(composite.fields["logits"])


def _probe(composite: Composite, parts: tuple[str, ...]) -> ProbePredictor:
    folders = [composite.part(part) for part in parts]
    shapes = [Shape.of(folder) for folder in folders]
    head = composite.linear(manifest.HEAD, sum(shape.width for shape in shapes))
    return ProbePredictor([load_encoder(folder) for folder in folders], shapes, composite.fields["pooling"], head)


def _stitch(composite: Composite) -> StitchPredictor:
    folders = composite.part("first"), composite.part("second")
    first, second = (load_encoder(folder) for folder in folders)
    shapes = Shape.of(folders[0]), Shape.of(folders[1])
    cut = Cut(**composite.fields["cut"])
    joint = composite.linear(manifest.JOINT, shapes[0].width)
    head = composite.linear(manifest.HEAD, shapes[1].width)
    return StitchPredictor(Stitched(first, second, cut, joint), shapes, cut, composite.fields["pooling"], head)


def _side_tuned(composite: Composite) -> TrainedPredictor:
    small, large = _shapes(composite)
    model, pooling = load_classifier(composite.part("small")), composite.fields["pooling"]
    outputs = model.config.num_labels
    module = composite.restored(SideTuned(model.bert, _no_head(large, outputs), pooling))
    frozen = {"large": Frozen(load_encoder(composite.part("large")), [large.layers - 1], pooling)}
    return TrainedPredictor(module, frozen, _live_flops(composite, small, large, outputs))


def _ladder(composite: Composite) -> TrainedPredictor:
    small, large = _shapes(composite)
    model, depth_map = load_classifier(composite.part("small")), composite.fields["depth_map"]
    module = composite.restored(Ladder(model, large.width, depth_map))
    frozen = {"large": Frozen(load_encoder(composite.part("large")), [g for _, g in depth_map])}
    return TrainedPredictor(module, frozen, _live_flops(composite, small, large, model.config.num_labels))


def _calm(composite: Composite) -> TrainedPredictor:
    small, large = _shapes(composite)
    model, depth_map = load_classifier(composite.part("small")), composite.fields["depth_map"]
    outputs = model.config.num_labels
    module = Calm(small, len(depth_map), _no_head(large, outputs), composite.fields["pooling"], seed=0)
    frozen = {
        "small": Frozen(model.bert, [m for m, _ in depth_map]),
        "large": Frozen(load_encoder(composite.part("large")), [g for _, g in depth_map]),
    }
    return TrainedPredictor(composite.restored(module), frozen, _live_flops(composite, small, large, outputs))


def _live_flops(composite: Composite, small: Shape, large: Shape, outputs: int) -> Callable[[int], int]:
    depth_map = composite.fields.get("depth_map", ())
    linked = methods.facts(composite.kind).linked
    return lambda tokens: linked(small, large, depth_map, tokens, outputs).live


def _shapes(composite: Composite) -> tuple[Shape, Shape]:
    """Shapes of the small and the large part."""
    return Shape.of(composite.part("small")), Shape.of(composite.part("large"))


def _no_head(shape: Shape, outputs: int) -> LinearMap:
    """A head of zeros, whose weights are loaded later."""
    return LinearMap(torch.zeros(outputs, shape.width), torch.zeros(outputs))


def _ensemble(composite: Composite) -> MixedPredictor:
    parts = [load(composite.part(part)) for part in ("small", "probe")]
    mix = functools.partial(logit_ensemble.combine, beta=composite.fields["beta"], scales=composite.fields["scales"])
    return MixedPredictor(parts, mix)


def _proxy(composite: Composite) -> MixedPredictor:
    parts = [load(composite.part(part)) for part in ("probe", "tuned", "untuned")]
    mix = functools.partial(proxy_tuning.combine, alpha=composite.fields["alpha"], scales=composite.fields["scales"])
    return MixedPredictor(parts, mix)


def _mean_of_all(composite: Composite) -> MixedPredictor:
    parts = [load(composite.part(part)) for part in composite.fields["parts"]]
    return MixedPredictor(parts, lambda *logits: torch.stack(logits).mean(dim=0))


_LOADERS = {
    "constant": _constant,
    "probe": functools.partial(_probe, parts=("encoder",)),
    "concat_probe": functools.partial(_probe, parts=("small", "large")),
    "stitch": _stitch,
    "logit_ensemble": _ensemble,
    "proxy_tuning": _proxy,
    "side_tuning": _side_tuned,
    "ladder": _ladder,
    "calm": _calm,
    "ensemble": _mean_of_all,
}
