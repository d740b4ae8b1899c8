"""Loading any system that `evaluate` can run: a classifier folder or a composite."""

import functools
from pathlib import Path

from graft.encoders import load_classifier, load_encoder
from graft.merging.composite import logit_ensemble, manifest, proxy_tuning
from graft.merging.composite.cuts import Cut
from graft.merging.composite.manifest import Composite
from graft.merging.composite.stitch import Stitched
from graft.merging.predictors import (
    ClassifierPredictor,
    ConstantPredictor,
    MixedPredictor,
    Predictor,
    ProbePredictor,
    StitchPredictor,
)
from graft.shapes import Shape


def load(folder: str | Path) -> Predictor:
    """The system saved in `folder`, in float32 and eval mode on the CPU.

    Raises ValueError where the folder holds neither a composite nor a classifier, or a part of it is not what it was
    made from.
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


def _ensemble(composite: Composite) -> MixedPredictor:
    parts = [load(composite.part(part)) for part in ("small", "probe")]
    mix = functools.partial(logit_ensemble.combine, beta=composite.fields["beta"], scales=composite.fields["scales"])
    return MixedPredictor(parts, mix)


def _proxy(composite: Composite) -> MixedPredictor:
    parts = [load(composite.part(part)) for part in ("probe", "tuned", "untuned")]
    mix = functools.partial(proxy_tuning.combine, alpha=composite.fields["alpha"], scales=composite.fields["scales"])
    return MixedPredictor(parts, mix)


_LOADERS = {
    "constant": _constant,
    "probe": functools.partial(_probe, parts=("encoder",)),
    "concat_probe": functools.partial(_probe, parts=("small", "large")),
    "stitch": _stitch,
    "logit_ensemble": _ensemble,
    "proxy_tuning": _proxy,
}
