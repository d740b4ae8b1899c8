"""Load any system that `evaluate` can run: a classifier folder or a composite."""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from graft.encoders.models import load_classifier, load_encoder
from graft.encoders.spans import read_by
from graft.encoders.states import Frozen, pool
from graft.flops.counts import encoder_flops, linear_flops
from graft.merging import predictors
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest
from graft.merging.composite.calm.maths import Calm
from graft.merging.composite.ladder.maths import Ladder
from graft.merging.composite.logit_ensemble import maths as logit_ensemble
from graft.merging.composite.manifest import Composite
from graft.merging.composite.proxy_tuning import maths as proxy_tuning
from graft.merging.composite.side_tuning.maths import SideTuned
from graft.merging.composite.stitch import stitch_flops
from graft.merging.composite.stitch.maths import Stitched
from graft.merging.composite.trained import Trained
from graft.merging.predictors import Predictor
from graft.registry import methods
from graft.registry.cuts import Cut
from graft.registry.readouts import State
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
        return predictors.classifier(load_classifier(folder), Shape.of(folder))
    raise ValueError(f"{folder}: holds no system; it must have {manifest.FILE} or config.json and model.safetensors")


def _probe(composite: Composite, parts: tuple[str, ...]) -> Predictor:
    encoders = {_role(part): load_encoder(composite.part(part)) for part in parts}
    head = composite.linear(manifest.HEAD, sum(encoder.shape.width for encoder in encoders.values()))
    return predictors.probe(encoders, composite.fields["pooling"], head)


def _layers_probe(composite: Composite) -> Predictor:
    """Pooled states of some layers of a frozen encoder, which runs no layer after these, and a linear head."""
    folder, states = composite.part("encoder"), [State(*state) for state in composite.fields["states"]]
    shape = Shape.of(folder)
    head = composite.linear(manifest.HEAD, len(states) * shape.width)
    frozen = Frozen(load_encoder(folder), [state.layer - 1 for state in states])
    on_states = linear_flops(len(states) * shape.width, len(head.bias))

    def answer(batch: Mapping[str, Tensor]) -> Tensor:
        hidden, mask = frozen(batch), batch["attention_mask"]
        return head(torch.cat([pool(hidden[:, :, k], mask, how) for k, (_, how) in enumerate(states)], dim=1))

    deepest = max(state.layer for state in states)
    return Predictor([frozen], answer, lambda tokens: encoder_flops(shape, tokens, deepest) + on_states, [head])


def _stitch(composite: Composite) -> Predictor:
    """The first layers of one model, a linear map, the last layers of another, a pooling, and a linear head."""
    folders = composite.part("first"), composite.part("second")
    first, second = (Shape.of(folder) for folder in folders)
    joint, head = composite.linear(manifest.JOINT, first.width), composite.linear(manifest.HEAD, second.width)
    cut, pooling = Cut(**composite.fields["cut"]), composite.fields["pooling"]
    model = Stitched(load_encoder(folders[0]), load_encoder(folders[1]), cut, joint)
    on_states = linear_flops(second.width, len(head.bias))
    return Predictor(
        [model],
        lambda batch: head(pool(model(batch), read_by(cut.roles[1], batch)["attention_mask"], pooling)),
        lambda tokens: stitch_flops(first, second, cut, tokens) + on_states,
        [head],
        lambda tokens: stitch_flops(first, second, cut, tokens, "small"),
    )


def _trained(composite: Composite) -> Predictor:
    """A module with trained weights beside the frozen large model, whose states it reads at the mapped layers."""
    small, large = (Shape.of(composite.part(part)) for part in ("small", "large"))
    model, encoder = load_classifier(composite.part("small")), load_encoder(composite.part("large"))
    outputs, depth_map = model.config.num_labels, composite.fields.get("depth_map", ())
    pooling = composite.fields.get("pooling", "")
    # The weights are loaded later.
    head = LinearMap(torch.zeros(outputs, large.width), torch.zeros(outputs))
    frozen = {}
    module: Trained
    if composite.kind == "side_tuning":
        module = SideTuned(model.bert, head, pooling)
        frozen["large"] = Frozen(encoder, [large.layers - 1], pooling)
    else:
        frozen["large"] = Frozen(encoder, [g for _, g in depth_map])
        if composite.kind == "ladder":
            module = Ladder(model, large.width, depth_map)
        else:
            module = Calm(small, len(depth_map), head, pooling, seed=0)
            frozen["small"] = Frozen(model.bert, [m for m, _ in depth_map])
    facts = methods.facts(composite.kind)
    cost = functools.partial(facts.linked, small, large, depth_map, outputs=outputs)

    def small_flops(tokens: int) -> int:
        own = cost(tokens=tokens).given if facts.computes_at == "small" else 0
        return own + ("small" in frozen) * encoder_flops(small, tokens, 1 + max((m for m, _ in depth_map), default=0))

    return predictors.trained(composite.restored(module), frozen, lambda t: cost(tokens=t).live, small_flops)


def _mixed(composite: Composite, mix: Callable[..., Tensor], parts: Iterable[str] | None = None) -> Predictor:
    """Parts, by default all, whose logits `mix` combines, with the composite's other keys as its options."""
    loaded = [load(composite.part(part)) for part in parts or composite.fields["parts"]]
    options = {key: composite.fields[key] for key in manifest.KINDS[composite.kind][1]}
    roles = [_role(part) for part in parts or composite.fields["parts"]]
    return predictors.mixed(loaded, functools.partial(mix, **options), roles)


def _role(part: str) -> str:
    """The model of the pair whose tokens a composite's part reads."""
    return "small" if part in ("small", "tuned", "untuned") else "large"


_LOADERS: dict[str, Callable[[Composite], Predictor]] = {
    "constant": lambda composite: predictors.constant(composite.fields["logits"]),
    "probe": functools.partial(_probe, parts=("encoder",)),
    "layers_probe": _layers_probe,
    "concat_probe": functools.partial(_probe, parts=("small", "large")),
    "stitch": _stitch,
    "logit_ensemble": functools.partial(_mixed, mix=logit_ensemble.combine, parts=("small", "probe")),
    "proxy_tuning": functools.partial(_mixed, mix=proxy_tuning.combine, parts=("probe", "tuned", "untuned")),
    "side_tuning": _trained,
    "ladder": _trained,
    "calm": _trained,
    "ensemble": functools.partial(_mixed, mix=lambda *logits: torch.stack(logits).mean(dim=0)),
}
