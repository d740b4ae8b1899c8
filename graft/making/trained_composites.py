"""Make composites with trained weights in a study: a small module is trained beside a frozen large model."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graft.encoders.inference import Labelled
from graft.encoders.layer_states import LayerStates, WithStates, collect
from graft.encoders.models import load_classifier
from graft.io.progress import Report
from graft.making.pair_inputs import Built, PairInputs
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest
from graft.merging.composite.calm import CalmOptions
from graft.merging.composite.calm.maths import Calm
from graft.merging.composite.facts import Linked, LinkedFlops
from graft.merging.composite.ladder.maths import Ladder
from graft.merging.composite.side_tuning import SideTuningOptions
from graft.merging.composite.side_tuning.maths import SideTuned
from graft.merging.composite.trained import Trained
from graft.merging.selection import Choice, Point
from graft.registry import depth
from graft.study import runs
from graft.study.grid import ALL_SEEDS
from graft.study.grid_systems import System, probes_of
from graft.study.steps.embed_layers import EmbedLayers
from graft.tasks.spans import PairedSplit
from graft.tasks.tokens import TokenisedSplit
from graft.training.finetuning import PassCost, Training, finetune

SPLITS = ("train", "select")
# By split and input name: a function from rows and a length to the frozen models' states, padded to that length.
States = Mapping[str, Mapping[str, Callable[[np.ndarray, int], Tensor]]]


def tune_side(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make `side_tuning`: train the small model beside the saved pooled states of the large one."""
    pooling = inputs.options(system, SideTuningOptions).probe
    head, flops = _probe(inputs, system)
    small, parts = inputs.system(inputs.finetuned, inputs.seed)
    kept = {split: torch.from_numpy(inputs.frozen[f"{split}.{pooling}"]) for split in SPLITS}
    states = {split: {"large": lambda rows, _, split=split: kept[split][rows]} for split in SPLITS}
    module = SideTuned(load_classifier(small).bert, head, pooling)
    return _trained(inputs, system, module, states, flops | parts, small, out, report, pooling=pooling)


def climb(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make `ladder`: train the small model with rungs from the large one's states at the mapped layers."""
    depth_map = depth.uniform(inputs.small_shape.layers, inputs.large_shape.layers)
    large, flops = _layers(inputs)
    small, parts = inputs.system(inputs.finetuned, inputs.seed)
    module = Ladder(load_classifier(small), inputs.large_shape.width, depth_map)
    states = {split: {"large": large[split].batch} for split in SPLITS}
    return _trained(inputs, system, module, states, flops | parts, small, out, report, depth_map=depth_map)


def link(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make `calm`: train links from the large model's states to the small one's, with both models frozen."""
    pooling = inputs.options(system, CalmOptions).probe
    depth_map = depth.uniform(inputs.small_shape.layers, inputs.large_shape.layers)
    head, flops = _probe(inputs, system)
    large, parts = _layers(inputs)
    small, inherited = inputs.system(inputs.finetuned, inputs.seed)
    # One pass of the large model gives the states of all layers, including the last one, on which the probe was fitted.
    flops = {part: count for part, count in flops.items() if not part.startswith("embed.")}
    body = load_classifier(small).bert.to(inputs.device)
    layers = [m for m, _ in depth_map]
    own = {split: collect(body, layers, inputs.tokens(split, "small"), inputs.max_tokens) for split in SPLITS}
    flops |= parts | inherited
    flops[f"{inputs.name(system)}/small"] = sum(inputs.passes("small", split) for split in SPLITS)
    module = Calm(inputs.small_shape, len(depth_map), head, pooling, int(inputs.seed))
    states = {split: {"large": large[split].batch, "small": own[split].batch} for split in SPLITS}
    keys = {"pooling": pooling, "depth_map": depth_map}
    return _trained(inputs, system, module, states, flops, small, out, report, **keys)


# The function that makes each composite with trained weights.
LINKED: dict[str, Callable[[PairInputs, System, Path, Report], Built]] = {
    "side_tuning": tune_side,
    "ladder": climb,
    "calm": link,
}


def _trained(
    inputs: PairInputs,
    system: System,
    module: Trained,
    states: States,
    flops: dict[str, int],
    small: Path,
    out: Path,
    report: Report,
    **keys: object,
) -> Built:
    """Train a module on all of train, keep its best epoch on `select` (the untrained state counts as one), and save it
    with its parts and keys."""
    options, launch = inputs.options(system, Linked), inputs.grid.study.launch
    settings = runs.chosen_settings(inputs.grid, inputs.paths, inputs.task, inputs.pair.small)[0]
    changed = {"epochs": options.epochs, "learning_rate": options.rate * settings.learning_rate}
    train, select = (
        Labelled(
            WithStates(_read(inputs, split, options), states[split]), runs.labels(inputs.paths, inputs.task, split)
        )
        for split in SPLITS
    )
    shapes = inputs.small_shape, inputs.large_shape
    depth_map, outputs = depth.uniform(*(shape.layers for shape in shapes)), inputs.row.outputs

    def cost(tokens: int) -> LinkedFlops:
        return options.linked(*shapes, depth_map, tokens, outputs)

    training = Training(
        inputs.row,
        train,
        select,
        settings.model_copy(update=changed | {"max_tokens": inputs.max_tokens}),
        int(inputs.seed),
        launch.alone(),
        out.parent / "training.jsonl",
        PassCost(lambda tokens: cost(tokens).given, lambda tokens: cost(tokens).step),
        or_untrained=True,
    )
    tuned = finetune(module, training, report)
    parts = {"small": small, "large": inputs.large_folder}
    manifest.write(out, options.name, parts, {manifest.TRAINED: tuned.model.state_dict()}, **keys)
    epochs = tuple((Point(float(e["epoch"])), e["select"]) for e in tuned.epochs)
    flops |= {f"{inputs.name(system)}/{part}": count for part, count in tuned.flops.items()}
    return Built(Choice(epochs[tuned.best][0], tuned.score, epochs), flops, tuned.effective, searched="epoch")


def _read(inputs: PairInputs, split: str, options: Linked) -> TokenisedSplit | PairedSplit:
    """A split for both models, in batches by the tokens at which a module computes."""
    found = inputs.both(split)
    return replace(found, lengths_of=options.computes_at) if isinstance(found, PairedSplit) else found


def _probe(inputs: PairInputs, system: System) -> tuple[LinearMap, dict[str, int]]:
    """Head of the large model's probe that a composite starts from, and the parts of its FLOPs."""
    (name,) = probes_of(system)
    folder, flops = inputs.system(name, ALL_SEEDS)
    return manifest.read(folder).linear(manifest.HEAD, inputs.large_shape.width), flops


def _layers(inputs: PairInputs) -> tuple[dict[str, LayerStates], dict[str, int]]:
    """The large model's states at the mapped layers by split, and the parts of their FLOPs."""
    folder, made = inputs.finished(EmbedLayers(inputs.task, inputs.pair.name))
    return {split: LayerStates.load(folder, split) for split in SPLITS}, made["train_flops_parts"]
