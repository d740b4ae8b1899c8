"""Merging folders of models of one shape into another folder, without a study and without importing torch."""

import contextlib
import math
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from graft.io import files
from graft.io.progress import Report
from graft.merging.homogeneous import card, checks, companions, configs, engine, layout
from graft.merging.homogeneous.checkpoint import Checkpoint
from graft.merging.homogeneous.companions import Companions
from graft.merging.homogeneous.formats import FLOATING, NAMES, widest
from graft.merging.homogeneous.layout import Layout
from graft.merging.homogeneous.models import Models, in_order_of_content
from graft.merging.homogeneous.orders import Order, Plan
from graft.merging.homogeneous.protocol import Method
from graft.merging.homogeneous.shards import Slot, Writer, shared_out, size
from graft.registry import methods


def merge(order: Order, report: Report, dry_run: bool = False) -> Plan:
    """Merge folders into `order.out`, or with `dry_run` only check the order and plan the merge.

    The result is a Hugging Face folder with the models' class and tensor names, their tokenizer and other companion
    files, a model card (README.md) and provenance (graft.json). It gets its name only once it is complete. Neither the
    order of the models (except for slerp) nor the sharding of any folder changes a byte of it, apart from what card and
    provenance list.

    Raises ValueError, in one sentence, and writes nothing if the folder exists, the models differ in shape, tokenizer,
    head or computation, values are not finite, files are damaged, or weights, options or statistics are wrong. Raises
    OSError if the disk fills up or is not writable.
    """
    weights = order.weights or (1.0,) * len(order.models)
    method = _checked(order).checked(order.options)
    limit = size(order.max_shard_size)
    with contextlib.ExitStack() as stack:
        known = {folder: configs.read(folder) for folder in _folders(order)}
        configs.check(known)
        if not (order.head_of or order.no_head):
            configs.check_classes({folder: known[folder] for folder in order.models})
        models, laid = _opened(order, method, weights, known, stack)
        beside, config = _beside(order, known, laid)
        plan = Plan(
            models.strength, weights, method, _sources(order, models), shared_out(laid.slots, limit), order.dtype,
            order.device, laid.averaged, tuple((one, *others) for one, others in sorted(laid.ties.items())),
            laid.left_out, _head(order),
        )  # fmt: skip
        _check_space(order.out, plan.bytes)
        if dry_run:
            return plan
        with files.atomic_folder(order.out, new=True) as target:
            digests = _write(method, models, target, laid.slots, limit, report)
            files.write_json(target / "config.json", config)
            beside.put(target)
            card.write(target, plan, config, digests, beside.embeds)
    return plan


def summary(plan: Plan) -> str:
    """Summarise a merge in two lines, plus one each for averaged and left-out tensors and a head that is not merged."""
    options = "".join(f", {name} {value}" for name, value in plan.options.values().items())
    weights = f", weights {' '.join(f'{weight:g}' for weight in plan.weights)}" if plan.options.weighted else ""
    dtypes = ", ".join(sorted({slot.dtype for file in plan.files for slot in file}))
    files_ = "1 file" if len(plan.files) == 1 else f"{len(plan.files)} files"
    lines = [
        f"{plan.options.name} of {len(plan.weights)} models: strength {plan.strength:g}{weights}{options}",
        f"{plan.tensors} tensors, {plan.parameters / 1e6:.1f} M parameters, {dtypes}, "
        f"{plan.bytes / 1e6:.1f} MB in {files_}",
    ]
    if plan.averaged:
        lines.append(f"the base lacks {listed(plan.averaged)}: the average of the models'")
    if plan.head:
        lines.append(f"head: {plan.head}")
    if plan.left_out:
        lines.append(f"left out, {plan.why_left_out}: {listed(plan.left_out)}")
    return "\n".join(lines)


def listed(tensors: Sequence[str]) -> str:
    """List up to four tensor names and count the rest."""
    shown = ", ".join(tensors[:4])
    return shown if len(tensors) <= 4 else f"{shown} and {len(tensors) - 4} more"


def _folders(order: Order) -> list[Path]:
    return list(dict.fromkeys([*([order.base] if order.base else []), *order.models]))


def _checked(order: Order) -> type[Method]:
    """Check all of the order that needs no model opened; returns the method's facts."""
    facts = methods.facts(order.method, methods.ONE_SHAPE)
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
    if order.head_of is not None and not 1 <= order.head_of <= count:
        raise ValueError(f"--head-of {order.head_of}: must be the number of one of the {count} --models, from 1")
    if order.head_of and order.no_head:
        raise ValueError("--head-of and --no-head: give one of them")
    if order.strength is not None and not math.isfinite(order.strength):
        raise ValueError(f"--strength {order.strength}: must be a finite number")
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


def _opened(
    order: Order,
    method: Method,
    weights: tuple[float, ...],
    known: Mapping[Path, Mapping[str, Any]],
    stack: contextlib.ExitStack,
) -> tuple[Models, Layout]:
    """Open the models under the merged model's tensor names, and lay out its tensors."""
    family = configs.model_type(known.values())
    base = stack.enter_context(Checkpoint.of_folder(order.base)) if order.base else None
    opened = [stack.enter_context(Checkpoint.of_folder(folder)) for folder in order.models]
    dtype = NAMES[order.dtype] if order.dtype else None
    head_of = opened[order.head_of - 1] if order.head_of else None
    laid = layout.of(base, opened, family, configs.ties(known.values(), family), dtype, head_of, order.no_head)
    files = [folder / method.statistics for folder in order.statistics]
    statistics = [stack.enter_context(Checkpoint(str(file), [file])) for file in files]
    strength = method.strength if order.strength is None else order.strength
    return side_by_side(method, laid, weights, statistics, family, strength, order.device), laid


def side_by_side(
    method: Method,
    laid: Layout,
    weights: tuple[float, ...],
    statistics: Sequence[Checkpoint],
    family: str,
    strength: float,
    device: str,
) -> Models:
    """Put the models of a layout and their statistics in an order that depends on their content alone, but for slerp.

    family: the configs' model_type. Raises ValueError if the statistics do not fit the models.
    """
    origin, tuned = laid.base or laid.tuned[0], laid.tuned
    if method.name == "slerp" and laid.base is None:
        tuned = tuned[1:]
    named = tuple(layout.statistics_under(one, laid, family) for one in statistics)
    models = Models(origin, tuned, weights[: len(tuned)], named, laid.ties, strength, device, laid.head)
    if statistics:
        checks.check_statistics(method.statistics, models)
    return models if method.name == "slerp" else in_order_of_content(models)


def _beside(order: Order, known: Mapping[Path, Mapping[str, Any]], laid: Layout) -> tuple[Companions, dict[str, Any]]:
    """The files that accompany the weights, and the merged config."""
    if order.head_of or order.no_head:
        of = order.models[order.head_of - 1] if order.head_of else None
        known = {folder: one if folder == of else configs.headless(one) for folder, one in known.items()}
    tuned = [known[folder] for folder in order.models]
    # If the base has another head than the models, its labels do not concern theirs.
    headed = {folder: one for folder, one in known.items() if folder in order.models or laid.same_head}
    configs.check_heads(headed)
    checks.check_readers(_folders(order))
    stored = widest({slot.dtype for slot in laid.slots if slot.dtype in FLOATING} or {"F32"})
    dtype = next(name for name, called in NAMES.items() if called == stored)
    config = configs.united(known[order.base] if order.base else None, tuned, dtype, laid.same_head)
    if order.dtype:
        config.pop("torch_dtype", None)
        config["dtype"] = order.dtype
    return companions.of(order.base, order.models, bool(laid.averaged or laid.head)), dict(sorted(config.items()))


def _sources(order: Order, models: Models) -> dict[str, tuple[Path, tuple[Path, ...]]]:
    opened = {checkpoint.name: checkpoint.files for checkpoint in (models.origin, *models.tuned, *models.statistics)}
    places = {"base": order.base} if order.base else {}
    places |= {f"model {number}": folder for number, folder in enumerate(order.models, 1)}
    found = {role: (folder, opened[str(folder)]) for role, folder in places.items()}
    for number, (folder, statistics) in enumerate(zip(order.statistics, models.statistics, strict=True), 1):
        found[f"statistics {number}"] = folder, statistics.files
    return found


def _head(order: Order) -> str | None:
    if order.no_head:
        return "none"
    return f"model {order.head_of}'s, with its pooler, as they are" if order.head_of else None


def _write(
    method: Method, models: Models, target: Path, slots: Sequence[Slot], limit: int, report: Report
) -> dict[Path, str]:
    """Write the merged weights; returns the sha256 of every file read."""
    read = {file for model in (models.origin, *models.tuned, *models.statistics) for file in model.files}
    with ThreadPoolExecutor(engine.workers()) as pool, Writer(target, slots, limit) as writer:
        digests = {file: pool.submit(files.sha256, file) for file in sorted(read)}
        try:
            report(0, 0, "reading the models")
            engine.merge_all(method, models, method.survey(models, pool.map), writer, pool, report)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return {file: digest.result() for file, digest in digests.items()}


def _check_space(out: Path, needed: int) -> None:
    place = next(parent for parent in out.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ValueError(f"{out}: needs {needed / 1e9:.2f} GB, of which {free / 1e9:.2f} are free on its disk")
