"""Make composites in a study: systems that run parts of both models."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graft.encoders import features
from graft.encoders.bert import load_classifier, load_encoder, new_classifier
from graft.encoders.inference import Batch, pass_flops, predict, run
from graft.flops.counts import encoder_flops, linear_flops, ridge_flops
from graft.io.progress import Report, part_of
from graft.making.workbench import Built, Workbench
from graft.merging.composite import manifest
from graft.merging.composite.concat_probe import ConcatProbeOptions
from graft.merging.composite.concat_probe import maths as concat_probe
from graft.merging.composite.logit_ensemble import LogitEnsembleOptions
from graft.merging.composite.logit_ensemble import maths as logit_ensemble
from graft.merging.composite.proxy_tuning import ProxyTuningOptions
from graft.merging.composite.proxy_tuning import maths as proxy_tuning
from graft.merging.composite.stitch import StitchOptions, stitch_flops
from graft.merging.composite.stitch import maths as stitch
from graft.merging.heads import ridge
from graft.merging.heads.labelled import label_targets
from graft.merging.heads.ridge import LinearMap
from graft.merging.loading import load
from graft.merging.selection import Point, search
from graft.registry.cuts import cuts as all_cuts
from graft.registry.shapes import Shape
from graft.study import runs
from graft.study.grid import ALL_SEEDS
from graft.study.grid_systems import System, probes_of
from graft.tasks.splits import folds as text_folds

SPLITS = ("train", "select")


def mix_logits(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """Make `logit_ensemble`: mix the fine-tuned small model and the large model's probe by a weight from `select`."""
    options = bench.options(system, LogitEnsembleOptions)
    (probe,) = probes_of(system)
    small_folder, flops = bench.system(bench.finetuned, bench.seed)
    probe_folder, probe_flops = bench.system(probe, ALL_SEEDS)
    logits = _small_logits(bench, small_folder), _frozen_logits(bench, probe_folder)
    scores = bench.row.labels is None
    choice, scales = logit_ensemble.fit(*logits, options.strengths, bench.score, scores)
    parts = {"small": small_folder, "probe": probe_folder}
    manifest.write(out, "logit_ensemble", parts, beta=choice.chosen.strength, scales=scales)
    # The probe's parts already count the large model's states on select; the small model's pass is counted here.
    asked = bench.flops_over("select", load(small_folder).flops)
    flops |= probe_flops | {f"{_name(bench, system)}/small-on-select": asked}
    return Built(choice, flops, {"scales": scales})


def move_logits(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """Make `proxy_tuning`: shift the large model's probe by the change of the small model's logits in fine-tuning."""
    options = bench.options(system, ProxyTuningOptions)
    names = dict(zip(("probe", "untuned"), probes_of(system), strict=True))
    folders = {"tuned": bench.system(bench.finetuned, bench.seed)[0]}
    flops = dict(bench.system(bench.finetuned, bench.seed)[1])
    for part, name in names.items():
        folders[part], parts = bench.system(name, ALL_SEEDS)
        flops |= parts
    untuned = load(folders["untuned"]).to(bench.device)
    logits = (
        _frozen_logits(bench, folders["probe"]),
        _small_logits(bench, folders["tuned"]),
        torch.from_numpy(run(untuned.logits, bench.tokens("select"), bench.max_tokens, device=bench.device)),
    )
    choice, scales = proxy_tuning.fit(*logits, options.strengths, bench.score, bench.row.labels is None)
    manifest.write(out, "proxy_tuning", folders, alpha=choice.chosen.strength, scales=scales)
    asked = [bench.flops_over("select", model.flops) for model in (untuned, load(folders["tuned"]))]
    flops[f"{_name(bench, system)}/small-on-select"] = sum(asked)
    return Built(choice, flops, {"scales": scales})


def join_states(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """Make `concat_probe`: a closed-form head on the concatenated pooled states of both models."""
    merge, options = bench.merge(system), bench.options(system, ConcatProbeOptions)
    pooling, name = options.pooling, _name(bench, system)
    flops: dict[str, int] = {}
    folder, rows = bench.small_folder, bench.fit_rows(merge.settings.fit_rows)
    if options.small == "finetuned":
        folder, parts = bench.system(bench.finetuned, bench.seed)
        flops |= parts
    body = functools.partial(features.last_states, load_encoder(folder).to(bench.device))
    if options.folds > 1:
        fit, parts = _out_of_fold(bench, pooling, rows, options.folds, report)
        flops |= {f"{name}/folds/{part}": count for part, count in parts.items()}
    else:
        fit = _pooled(bench, body, pooling, "train", rows)
    select = _pooled(bench, body, pooling, "select", rows)
    found = concat_probe.fit(
        fit,
        torch.from_numpy(bench.frozen[f"train.{pooling}"][rows]),
        torch.from_numpy(runs.labels(bench.paths, bench.task, "train")[rows]),
        None if bench.row.labels is None else len(bench.row.labels),
        merge.settings.ridge,
    )
    states = torch.cat([select, torch.from_numpy(bench.frozen[f"select.{pooling}"])], dim=1)
    heads = {Point(0.0, size): head for size, head in found.items()}
    choice = search(heads, lambda point: bench.score(heads[point](states)))
    models = {"small": folder, "large": bench.large_folder}
    manifest.write(out, "concat_probe", models, {manifest.HEAD: heads[choice.chosen]}, pooling=pooling)
    large = f"embed.{bench.pair.large}/{bench.task}"
    flops |= {
        f"{large}/fit-{len(rows)}": bench.passes(bench.large_shape, "train", rows),
        f"{large}/select": bench.passes(bench.large_shape, "select"),
        f"{name}/small-on-fit": bench.passes(bench.small_shape, "train", rows),
        f"{name}/small-on-select": bench.passes(bench.small_shape, "select"),
        f"{name}/head": _head_flops(bench, states.shape[1], len(rows), len(merge.settings.ridge)),
    }
    return Built(choice, flops, {"fit_rows": len(rows)})


def stitch_layers(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """Make `stitch`: try every cut in the configured directions, with map and head in closed form; best on `select`."""
    merge, options = bench.merge(system), bench.options(system, StitchOptions)
    sizes, name = merge.settings.ridge, _name(bench, system)
    layers = bench.small_shape.layers, bench.large_shape.layers
    cuts = {cut.number: cut for cut in all_cuts(*layers, options.direction)}
    small_folder, flops = bench.system(bench.finetuned, bench.seed)
    folders = {"small": small_folder, "large": bench.large_folder}
    shapes = {"small": bench.small_shape, "large": bench.large_shape}
    models = {role: load_encoder(folder).to(bench.device) for role, folder in folders.items()}
    texts = bench.texts(merge)
    at = {role: {cut.layer_of(role) for cut in cuts.values()} for role in models}
    seen = {role: stitch.states(model, at[role], texts) for role, model in models.items()}
    rows = bench.fit_rows(merge.settings.fit_rows)
    labels = torch.from_numpy(runs.labels(bench.paths, bench.task, "train")[rows])
    targets = label_targets(labels, None if bench.row.labels is None else len(bench.row.labels))
    joints: dict[int, LinearMap] = {}
    heads: dict[Point, LinearMap] = {}
    select: dict[int, Tensor] = {}
    joint_flops = fit_flops = select_flops = head_flops = 0
    for done, (number, cut) in enumerate(cuts.items()):
        first, second = cut.roles
        joints[number] = stitch.joint(seen[first][cut.below], seen[second][cut.above], options.map_ridge)
        model = stitch.Stitched(models[first], models[second], cut, joints[number]).eval()
        fit, select[number] = (_pooled(bench, model, options.pooling, split, rows) for split in SPLITS)
        heads |= {Point(float(number), size): head for size, head in ridge.fit(fit, targets, sizes).items()}
        cost = functools.partial(stitch_flops, shapes[first], shapes[second], cut)
        joint_flops += ridge_flops(len(seen[first][cut.below]), shapes[first].width, shapes[second].width, 1)
        fit_flops += pass_flops(cost, bench.tokens("train"), bench.max_tokens, rows)
        select_flops += pass_flops(cost, bench.tokens("select"), bench.max_tokens)
        head_flops += _head_flops(bench, shapes[second].width, len(rows), len(sizes))
        report(done + 1, len(cuts), cut.name)
    choice = search(heads, lambda point: bench.score(heads[point](select[int(point.strength)])))
    number = int(choice.chosen.strength)
    cut = cuts[number]
    parts = {part: folders[role] for part, role in zip(("first", "second"), cut.roles, strict=True)}
    maps = {manifest.HEAD: heads[choice.chosen], manifest.JOINT: joints[number]}
    manifest.write(out, "stitch", parts, maps, cut=cut._asdict(), pooling=options.pooling)
    flops |= {
        f"{name}/texts": sum(_texts_flops(texts, shape) for shape in shapes.values()),
        f"{name}/joint": joint_flops,
        f"{name}/fit": fit_flops,
        f"{name}/select": select_flops,
        f"{name}/head": head_flops,
    }
    return Built(choice, flops, {"fit_rows": len(rows), "cut": cut.name}, searched="cut")


# The function that makes each closed-form composite.
COMPOSITES: dict[str, Callable[[Workbench, System, Path, Report], Built]] = {
    "logit_ensemble": mix_logits,
    "proxy_tuning": move_logits,
    "concat_probe": join_states,
    "stitch": stitch_layers,
}


def _name(bench: Workbench, system: System) -> str:
    return f"{system.name}/{bench.task}/seed-{bench.seed}"


def _small_logits(bench: Workbench, folder: Path) -> Tensor:
    """The fine-tuned small model's logits on `select`."""
    small = load_classifier(folder).to(bench.device)
    return torch.from_numpy(predict(small, bench.tokens("select"), bench.max_tokens))


def _frozen_logits(bench: Workbench, folder: Path) -> Tensor:
    """Logits on `select` of a probe on the large model, from its saved states."""
    probe = manifest.read(folder)
    head = probe.linear(manifest.HEAD, bench.large_shape.width)
    return head(torch.from_numpy(bench.frozen[f"select.{probe.fields['pooling']}"]))


def _pooled(bench: Workbench, hidden: Callable[[Batch], Tensor], pooling: str, split: str, rows: np.ndarray) -> Tensor:
    """Pooled states [n, w] of `rows` of train, or of all of select."""
    chosen = rows if split == "train" else None
    found = features.pooled_states(hidden, pooling, bench.tokens(split), bench.max_tokens, chosen, bench.device)
    return torch.from_numpy(found)


def _out_of_fold(
    bench: Workbench, pooling: str, rows: np.ndarray, folds: int, report: Report
) -> tuple[Tensor, dict[str, int]]:
    """Out-of-fold pooled states [n, w_S] of `rows` of train, and FLOPs: each row's state comes from a small model
    fine-tuned without the row's fold, with which no training row shares a text.

    A model separates its own training rows better than new ones, so a head fitted on their states would trust it too
    much.
    """
    from graft.training.finetuning import PassCost, finetune  # accelerate takes seconds to import

    model, launch, seed = bench.pair.small, bench.grid.study.launch, int(bench.seed)
    splits = [runs.labelled(bench.grid, bench.paths, bench.task, model, split) for split in SPLITS]
    table = pd.read_parquet(bench.paths.data(bench.task) / "train.parquet")
    settings = runs.chosen_settings(bench.grid, bench.paths, bench.task, model)[0]
    found = torch.empty(len(rows), bench.small_shape.width)
    flops: dict[str, int] = {}
    for fold, (held, others) in enumerate(text_folds(table, bench.row.groups, folds, features.FIT_SEED)):
        classifier = new_classifier(bench.small_folder, bench.row.labels, seed)
        train = replace(splits[0], rows=others)
        with tempfile.TemporaryDirectory() as folder:
            tuned = finetune(
                classifier,
                bench.row,
                train,
                splits[1],
                settings,
                seed,
                launch.alone(),
                Path(folder) / "training.jsonl",
                part_of(report, fold, folds),
                cost=PassCost.of_classifier(bench.small_shape, bench.row.outputs),
            )
        body = functools.partial(features.last_states, tuned.model.bert.to(bench.device))
        inside = np.flatnonzero(np.isin(rows, held))
        found[inside] = _pooled(bench, body, pooling, "train", rows[inside])
        flops = {part: flops.get(part, 0) + count for part, count in tuned.flops.items()}
    return found, flops


def _head_flops(bench: Workbench, width: int, rows: int, sizes: int) -> int:
    """FLOPs of fitting heads with `sizes` ridge sizes, and of scoring them on `select`."""
    outputs = bench.row.outputs
    return ridge_flops(rows, width, outputs, sizes) + sizes * len(bench.select_labels) * linear_flops(width, outputs)


def _texts_flops(texts: Sequence[Batch], shape: Shape) -> int:
    return sum(len(batch["input_ids"]) * encoder_flops(shape, batch["input_ids"].shape[1]) for batch in texts)
