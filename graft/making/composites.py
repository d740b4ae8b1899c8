"""Make composites in a study: systems that run parts of both models."""

import functools
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graft.encoders import features
from graft.encoders.inference import Batch, run
from graft.encoders.models import load_encoder, new_classifier
from graft.encoders.network import Encoder
from graft.encoders.spans import read_by
from graft.flops.counts import encoder_flops, ridge_flops
from graft.io.progress import Report, part_of
from graft.making.pair_inputs import Built, PairInputs
from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.fitting import label_targets
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest
from graft.merging.composite.concat_probe import ConcatProbeOptions
from graft.merging.composite.concat_probe import maths as concat_probe
from graft.merging.composite.logit_ensemble import LogitEnsembleOptions
from graft.merging.composite.logit_ensemble import maths as logit_ensemble
from graft.merging.composite.proxy_tuning import ProxyTuningOptions
from graft.merging.composite.proxy_tuning import maths as proxy_tuning
from graft.merging.composite.stitch import StitchOptions, stitch_flops
from graft.merging.composite.stitch import maths as stitch
from graft.merging.loading import load
from graft.merging.predictors import Predictor
from graft.merging.selection import Point, search
from graft.registry.cuts import cuts as all_cuts
from graft.registry.shapes import Shape
from graft.study import runs
from graft.study.grid_systems import System, probes_of
from graft.tasks.splits import folds as text_folds

SPLITS = ("train", "select")


def mix_logits(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make `logit_ensemble`: mix the fine-tuned small model and the large model's probe by a weight from `select`."""
    options = inputs.options(system, LogitEnsembleOptions)
    (probe,) = probes_of(system)
    small_folder, flops = inputs.system(inputs.finetuned, inputs.seed)
    probe_folder, probe_flops = inputs.system(probe, inputs.of_probes)
    small = load(small_folder)
    logits = {"small": _answers(inputs, small), "probe": _frozen_logits(inputs, probe_folder)}
    scores = inputs.row.labels is None
    choice, scales = logit_ensemble.fit(logit_ensemble.combine, logits, options.strengths, inputs.score, scores)
    parts = {"small": small_folder, "probe": probe_folder}
    manifest.write(out, "logit_ensemble", parts, beta=choice.chosen.strength, scales=scales)
    # The probe's parts already count the large model's states on select; the small model's pass is counted here.
    asked = inputs.flops_over("small", "select", small.flops)
    flops |= probe_flops | {f"{inputs.name(system)}/small-on-select": asked}
    return Built(choice, flops, {"scales": scales})


def move_logits(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make `proxy_tuning`: shift the large model's probe by the change of the small model's logits in fine-tuning."""
    options = inputs.options(system, ProxyTuningOptions)
    names = dict(zip(("probe", "untuned"), probes_of(system), strict=True))
    small_folder, flops = inputs.system(inputs.finetuned, inputs.seed)
    folders = {"tuned": small_folder}
    for part, name in names.items():
        folders[part], parts = inputs.system(name, inputs.of_probes)
        flops |= parts
    models = {part: load(folders[part]) for part in ("tuned", "untuned")}
    logits = {"probe": _frozen_logits(inputs, folders["probe"])}
    logits |= {part: _answers(inputs, model) for part, model in models.items()}
    scores = inputs.row.labels is None
    choice, scales = logit_ensemble.fit(proxy_tuning.combine, logits, options.strengths, inputs.score, scores)
    manifest.write(out, "proxy_tuning", folders, alpha=choice.chosen.strength, scales=scales)
    asked = [inputs.flops_over("small", "select", model.flops) for model in models.values()]
    flops[f"{inputs.name(system)}/small-on-select"] = sum(asked)
    return Built(choice, flops, {"scales": scales})


def join_states(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make `concat_probe`: a closed-form head on the concatenated pooled states of both models."""
    merge, options = inputs.merge(system), inputs.options(system, ConcatProbeOptions)
    pooling, name = options.pooling, inputs.name(system)
    flops, nominal = dict[str, int](), dict[str, int]()
    folder, rows = inputs.small_folder, inputs.fit_rows(merge.settings.fit_rows)
    if options.small == "finetuned":
        folder, parts = inputs.system(inputs.finetuned, inputs.seed)
        flops |= parts
    body = _small_states(load_encoder(folder).to(inputs.device))
    if options.folds > 1:
        fit, *counted = _out_of_fold(inputs, pooling, rows, options.folds, report)
        parts, nominal = ({f"{name}/folds/{part}": n for part, n in counts.items()} for counts in counted)
        flops |= parts
    else:
        fit = _pooled(inputs, body, pooling, "train", rows)
    select = _pooled(inputs, body, pooling, "select", rows)
    found = concat_probe.fit(
        fit,
        torch.from_numpy(inputs.frozen[f"train.{pooling}"][rows]),
        torch.from_numpy(inputs.splits.labels("train")[rows]),
        None if inputs.row.labels is None else len(inputs.row.labels),
        merge.settings.ridge,
    )
    states = torch.cat([select, torch.from_numpy(inputs.frozen[f"select.{pooling}"])], dim=1)
    heads = {Point(0.0, size): head for size, head in found.items()}
    choice = search(heads, lambda point: inputs.score(heads[point](states)))
    models = {"small": folder, "large": inputs.large_folder}
    manifest.write(out, "concat_probe", models, {manifest.HEAD: heads[choice.chosen]}, pooling=pooling)
    scored = len(inputs.select_labels)
    flops |= {
        f"{inputs.embedding}/fit-{len(rows)}": inputs.passes("large", "train", rows),
        f"{inputs.embedding}/select": inputs.passes("large", "select"),
        f"{name}/small-on-fit": inputs.passes("small", "train", rows),
        f"{name}/small-on-select": inputs.passes("small", "select"),
        f"{name}/head": ridge_flops(len(rows), states.shape[1], inputs.row.outputs, len(merge.settings.ridge), scored),
    }
    return Built(choice, flops, {"fit_rows": len(rows)}, nominal=nominal)


def stitch_layers(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make `stitch`: try every cut in the configured directions, with map and head in closed form; best on `select`."""
    merge, options = inputs.merge(system), inputs.options(system, StitchOptions)
    sizes, name = merge.settings.ridge, inputs.name(system)
    layers = inputs.small_shape.layers, inputs.large_shape.layers
    cuts = {cut.number: cut for cut in all_cuts(*layers, options.direction)}
    small_folder, flops = inputs.system(inputs.finetuned, inputs.seed)
    folders = {"small": small_folder, "large": inputs.large_folder}
    shapes = {"small": inputs.small_shape, "large": inputs.large_shape}
    models = {role: load_encoder(folder).to(inputs.device) for role, folder in folders.items()}
    texts = inputs.texts(merge)
    at = {role: {cut.layer_of(role) for cut in cuts.values()} for role in models}
    seen = {role: stitch.states(model, at[role], texts, role) for role, model in models.items()}
    rows = inputs.fit_rows(merge.settings.fit_rows)
    labels = torch.from_numpy(inputs.splits.labels("train")[rows])
    targets = label_targets(labels, None if inputs.row.labels is None else len(inputs.row.labels))
    joints: dict[int, LinearMap] = {}
    heads: dict[Point, LinearMap] = {}
    select: dict[int, Tensor] = {}
    taken: Counter[str] = Counter()
    scored = len(inputs.select_labels)
    for done, (number, cut) in enumerate(cuts.items()):
        first, second = cut.roles
        joints[number] = stitch.joint(seen[first][cut.below], seen[second][cut.above], options.map_ridge)
        model = stitch.Stitched(models[first], models[second], cut, joints[number]).eval()
        fit, select[number] = (_pooled(inputs, model, options.pooling, split, rows, second) for split in SPLITS)
        heads |= {Point(float(number), size): head for size, head in ridge.fit(fit, targets, sizes).items()}
        taken["joint"] += ridge_flops(len(seen[first][cut.below]), shapes[first].width, shapes[second].width, 1)
        for role in cut.roles:
            cost = functools.partial(stitch_flops, shapes[first], shapes[second], cut, role=role)
            taken["fit"] += inputs.flops_over(role, "train", cost, rows)
            taken["select"] += inputs.flops_over(role, "select", cost)
        taken["head"] += ridge_flops(len(rows), shapes[second].width, inputs.row.outputs, len(sizes), scored)
        report(done + 1, len(cuts), cut.name)
    choice = search(heads, lambda point: inputs.score(heads[point](select[int(point.strength)])))
    number = int(choice.chosen.strength)
    cut = cuts[number]
    parts = {part: folders[role] for part, role in zip(("first", "second"), cut.roles, strict=True)}
    maps = {manifest.HEAD: heads[choice.chosen], manifest.JOINT: joints[number]}
    manifest.write(out, "stitch", parts, maps, cut=cut._asdict(), pooling=options.pooling)
    flops[f"{name}/texts"] = sum(_texts_flops(texts, *of) for of in shapes.items())
    flops |= {f"{name}/{part}": count for part, count in taken.items()}
    return Built(choice, flops, {"fit_rows": len(rows), "cut": cut.name}, searched="cut")


# The function that makes each closed-form composite.
COMPOSITES: dict[str, Callable[[PairInputs, System, Path, Report], Built]] = {
    "logit_ensemble": mix_logits,
    "proxy_tuning": move_logits,
    "concat_probe": join_states,
    "stitch": stitch_layers,
}


def _answers(inputs: PairInputs, system: Predictor) -> Tensor:
    """Logits on `select` of a system of the small model."""
    tokens = inputs.tokens("select", "small")
    answers = run(system.to(inputs.device).logits, tokens, inputs.max_tokens, device=inputs.device)
    return torch.from_numpy(answers)


def _frozen_logits(inputs: PairInputs, folder: Path) -> Tensor:
    """Logits on `select` of a probe on the large model, from its saved states."""
    probe = manifest.read(folder)
    head = probe.linear(manifest.HEAD, inputs.large_shape.width)
    return head(torch.from_numpy(inputs.frozen[f"select.{probe.fields['pooling']}"]))


def _small_states(encoder: Encoder) -> Callable[[Batch], Tensor]:
    """The last hidden states [b, t, w_S] of a small encoder at its own tokens."""
    return lambda batch: features.last_states(encoder, read_by("small", batch))


def _pooled(
    inputs: PairInputs,
    hidden: Callable[[Batch], Tensor],
    pooling: str,
    split: str,
    rows: np.ndarray,
    role: str = "small",
) -> Tensor:
    """Pooled states [n, w] of `rows` of train, or of all of select, at the tokens of the large or the small model."""
    chosen, read = rows if split == "train" else None, (inputs.both(split), inputs.max_tokens)
    return torch.from_numpy(features.pooled_states(hidden, pooling, *read, chosen, inputs.device, role))


def _out_of_fold(
    inputs: PairInputs, pooling: str, rows: np.ndarray, folds: int, report: Report
) -> tuple[Tensor, Counter[str], Counter[str]]:
    """Out-of-fold pooled states [n, w_S] of `rows` of train, and FLOPs, as computed and with padding: each row's state
    comes from a small model fine-tuned without the row's fold, with which no training row shares a text.

    A model separates its own training rows better than new ones, so a head fitted on their states would trust it too
    much.
    """
    from graft.training.finetuning import PassCost, Training, finetune  # accelerate takes seconds to import

    model, launch, seed = inputs.pair.small, inputs.grid.study.launch, int(inputs.seed)
    splits = [runs.labelled(inputs.grid, inputs.paths, inputs.task, model, split) for split in SPLITS]
    table = pd.read_parquet(inputs.paths.data(inputs.task) / "train.parquet")
    settings = runs.chosen_settings(inputs.grid, inputs.paths, inputs.task, model)[0]
    found = torch.empty(len(rows), inputs.small_shape.width)
    flops, nominal = Counter[str](), Counter[str]()
    for fold, (held, others) in enumerate(text_folds(table, inputs.row.groups, folds, features.FIT_SEED)):
        classifier = new_classifier(inputs.small_folder, inputs.row.labels, seed)
        train = replace(splits[0], rows=others)
        with tempfile.TemporaryDirectory() as folder:
            training = Training(
                inputs.row,
                train,
                splits[1],
                settings,
                seed,
                launch.alone(),
                Path(folder) / "training.jsonl",
                PassCost.of_classifier(inputs.small_shape, inputs.row.outputs),
            )
            tuned = finetune(classifier, training, part_of(report, fold, folds))
        body = _small_states(tuned.model.bert.to(inputs.device))
        inside = np.flatnonzero(np.isin(rows, held))
        found[inside] = _pooled(inputs, body, pooling, "train", rows[inside])
        flops.update(tuned.flops)
        nominal.update(tuned.nominal)
    return found, flops, nominal


def _texts_flops(texts: Sequence[Batch], role: str, shape: Shape) -> int:
    sizes = (read_by(role, batch)["input_ids"].shape for batch in texts)
    return sum(rows * encoder_flops(shape, length) for rows, length in sizes)
