"""Merging folders of models of one shape into another folder, without a study and without importing torch."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft import files
from graft.merging.homogeneous import card, checks, engine, table
from graft.merging.homogeneous.checkpoint import Checkpoint
from graft.merging.homogeneous.formats import NAMES
from graft.merging.homogeneous.models import Models, in_order_of_content
from graft.merging.homogeneous.protocol import Settings
from graft.merging.homogeneous.shards import Slot, Writer, shared_out, size

# What goes from the base into the merged folder, where it is there; config.json is written anew.
COPIED = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "chat_template.jinja",
)
LABELS = ("id2label", "label2id", "problem_type")


@dataclass(frozen=True)
class Order:
    """What is to be merged, and how. What is None takes the method's default."""

    method: str
    models: tuple[Path, ...]
    out: Path
    base: Path | None = None
    weights: tuple[float, ...] | None = None
    strength: float | None = None
    options: Mapping[str, Any] | None = None
    statistics: tuple[Path, ...] = ()
    device: str = "cpu"
    dtype: str | None = None
    max_shard_size: str = "5GB"


@dataclass(frozen=True)
class Plan:
    """What a merge would do, before anything is written. sources: by role, a folder and its weights' files."""

    facts: table.Facts
    strength: float
    weights: tuple[float, ...]
    options: dict[str, Any]
    sources: dict[str, tuple[Path, tuple[Path, ...]]]
    files: list[list[Slot]]
    dtype: str | None
    device: str

    @property
    def tensors(self) -> int:
        return sum(map(len, self.files))

    @property
    def parameters(self) -> int:
        return sum(math.prod(slot.shape) for file in self.files for slot in file)

    @property
    def bytes(self) -> int:
        return sum(slot.bytes for file in self.files for slot in file)


def merge(order: Order, report: engine.Report, dry_run: bool = False) -> Plan:
    """Merge folders into `order.out`, or only check and plan it.

    The result is a Hugging Face folder with the base's (or first model's) config and tokenizer, a model card
    (README.md) and provenance (graft.json), and has its name only once it is complete. Neither the order of the models
    nor how any folder is sharded changes a byte of its weights (but slerp has a first and a second model). Raises
    ValueError, in one sentence, and writes nothing, for an existing folder, models that are not of one shape, tokenizer
    and head, numbers that are not finite, damaged files, wrong weights, options or statistics; OSError for a disk that
    fills up or may not be written to.
    """
    facts = _checked(order)
    weights = order.weights or (1.0,) * len(order.models)
    options = table.checked_options(facts.name, order.options)
    strength = facts.strength if order.strength is None else order.strength
    with contextlib.ExitStack() as stack:
        models = _opened(order, facts, weights, stack)
        wanted = NAMES[order.dtype] if order.dtype else None
        slots, limit = engine.slots(models, wanted), size(order.max_shard_size)
        parts = shared_out(slots, limit)
        plan = Plan(facts, strength, weights, options, _sources(order, models), parts, order.dtype, order.device)
        _check_space(order.out, plan.bytes)
        if dry_run:
            return plan
        # Between two models there is a first and a second.
        if facts.name != "slerp":
            models = in_order_of_content(models)
        method = table.implementation(facts.name)(Settings(facts.name, strength, options, order.device))
        with files.atomic_folder(order.out, new=True) as target:
            digests = _write(method, models, target, slots, limit, report)
            config = _config(order)
            files.write_json(target / "config.json", config)
            files.copy_into(order.base or order.models[0], target, COPIED)
            card.write(target, plan, config, digests)
    return plan


def told(plan: Plan) -> str:
    """What a merge is or would be, in two lines."""
    options = "".join(f", {name} {value}" for name, value in plan.options.items())
    weights = f", weights {' '.join(f'{weight:g}' for weight in plan.weights)}" if plan.facts.weighted else ""
    dtypes = ", ".join(sorted({slot.dtype for file in plan.files for slot in file}))
    files_ = "1 file" if len(plan.files) == 1 else f"{len(plan.files)} files"
    return (
        f"{plan.facts.name} of {len(plan.weights)} models: strength {plan.strength:g}{weights}{options}\n"
        f"{plan.tensors} tensors, {plan.parameters / 1e6:.1f} M parameters, {dtypes}, "
        f"{plan.bytes / 1e6:.1f} MB in {files_}"
    )


def _checked(order: Order) -> table.Facts:
    """The method's facts, once all that can be told without opening a model is known to be right."""
    facts = table.facts(order.method)
    count, (least, most) = len(order.models), facts.models
    if facts.name == "slerp" and count + bool(order.base) != 2:
        raise ValueError("slerp goes from one model to another: give --base DIR --models DIR, or --models DIR DIR")
    if count < least or (most is not None and count > most):
        raise ValueError(f"{facts.name} merges {least} models or more; --models names {count}")
    if facts.base and order.base is None:
        raise ValueError(f"{facts.name} merges changes of a base: give --base DIR, what all models were made from")
    if order.weights is not None:
        if not facts.weighted:
            raise ValueError(f"{facts.name} treats its models alike and takes no --weights")
        checks.check_weights(order.weights, count)
    if order.strength is not None and not math.isfinite(order.strength):
        raise ValueError(f"--strength {order.strength}: must be a number")
    if order.strength not in (None, 1.0) and order.base is None and facts.name != "slerp":
        raise ValueError(f"--strength {order.strength:g} is a factor of changes: give --base DIR, what they change")
    if bool(facts.statistics) != bool(order.statistics) or (facts.statistics and len(order.statistics) != count):
        needed = f"one folder with {facts.statistics} per model" if facts.statistics else "none"
        raise ValueError(f"--statistics: {facts.name} needs {needed}; {len(order.statistics)} are given")
    if order.dtype is not None and order.dtype not in NAMES:
        raise ValueError(f"--dtype {order.dtype}: must be one of {', '.join(NAMES)}")
    if order.device not in ("cpu", "cuda") or (order.device == "cuda" and not _sees_gpu()):
        raise ValueError(f"--device {order.device}: must be cpu, or cuda where torch sees a GPU")
    files.check_new(order.out)
    return facts


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _opened(order: Order, facts: table.Facts, weights: tuple[float, ...], stack: contextlib.ExitStack) -> Models:
    folders = [*([order.base] if order.base else []), *order.models]
    checks.check_folders(folders)
    opened = [stack.enter_context(Checkpoint.of_folder(folder)) for folder in folders]
    tuned = opened[-1:] if facts.name == "slerp" else opened[-len(order.models) :]
    statistics = [
        stack.enter_context(Checkpoint(str(folder / facts.statistics), [folder / facts.statistics]))
        for folder in order.statistics
    ]
    models = Models(opened[0], tuple(tuned), weights[: len(tuned)], tuple(statistics))
    checks.check_tensors(models)
    if statistics:
        checks.check_statistics(facts.statistics, models)
    return models


def _sources(order: Order, models: Models) -> dict[str, tuple[Path, tuple[Path, ...]]]:
    opened = {checkpoint.name: checkpoint.files for checkpoint in (models.origin, *models.tuned, *models.statistics)}
    places = {"base": order.base} if order.base else {}
    places |= {f"model {number}": folder for number, folder in enumerate(order.models, 1)}
    found = {role: (folder, opened[str(folder)]) for role, folder in places.items()}
    for number, (folder, statistics) in enumerate(zip(order.statistics, models.statistics, strict=True), 1):
        found[f"statistics {number}"] = folder, statistics.files
    return found


def _write(
    method: Any, models: Models, target: Path, slots: list[Slot], limit: int, report: engine.Report
) -> dict[Path, str]:
    """Write the merged weights; sha256 of every file that is read."""
    read = {file for model in (models.origin, *models.tuned, *models.statistics) for file in model.files}
    with ThreadPoolExecutor(engine.workers()) as pool, Writer(target, slots, limit) as writer:
        digests = {file: pool.submit(files.sha256, file) for file in sorted(read)}
        try:
            engine.merge_all(method, models, writer, pool, report)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return {file: digest.result() for file, digest in digests.items()}


def _config(order: Order) -> dict[str, Any]:
    """The base's config with the labels of the models' head, and the dtype where that was asked for."""
    config, tuned = checks.read_config(order.base or order.models[0]), checks.read_config(order.models[0])
    config |= {key: tuned[key] for key in LABELS if key in tuned}
    if order.dtype:
        config.pop("torch_dtype", None)
        config["dtype"] = order.dtype
    return config


def _check_space(out: Path, needed: int) -> None:
    place = next(parent for parent in out.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ValueError(f"{out}: needs {needed / 1e9:.2f} GB, of which {free / 1e9:.2f} are free on its disk")
