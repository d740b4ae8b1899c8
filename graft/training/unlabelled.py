"""Train on unlabelled texts: an endless stream of batches of similar length, and the loop over them."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from graft.config.models import PretrainingOptions
from graft.encoders.batches import unlabelled_window
from graft.training.dropout import quick_dropout
from graft.training.optimizer import AdamW, linear_schedule, parameter_groups

Text = str | tuple[str, str]
Encoded = tuple[list[int], list[int]]
Batch = dict[str, Tensor]
Autocast = Callable[[], AbstractContextManager[object]]
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Running:
    """Where a training runs, and who gets its records: `progress`, and the JSONL file `log_path`."""

    device: str = "cpu"
    precision: str = "fp32"
    """fp32, or bf16 for forward passes."""
    progress: Progress | None = None
    log_path: Path | None = None
    started: float = field(default_factory=time.monotonic)

    def record(self, values: dict[str, float]) -> None:
        """Pass on a record."""
        if self.log_path is not None:
            with self.log_path.open("a") as handle:
                handle.write(json.dumps(values) + "\n")
        if self.progress is not None:
            self.progress(values)


@dataclass(frozen=True)
class Steps:
    """Outcome of the training loop: FLOPs of its steps (padding included), and step and losses of each log line."""

    flops: int
    curve: tuple[dict[str, float], ...]


def train(
    parameters: Sequence[nn.Parameter],
    batches: Iterator[Batch],
    losses: Callable[[Batch], dict[str, Tensor]],
    flops: Callable[[Batch], int],
    options: PretrainingOptions,
    what: str,
    running: Running,
) -> Steps:
    """Train `parameters` in place by `options.steps` steps of AdamW on one batch each.

    `losses` returns a batch's scalars by name, of which `loss` is minimised; `flops` counts a step on a batch. Every
    `options.log_every` steps there is a record: step, each loss's mean, learning_rate, examples_per_second (since
    `running.started`), padding. Raises ValueError, with a message that starts with `what`, if the loss is not finite.
    """
    optimiser = AdamW(parameter_groups(parameters, options.weight_decay), lr=options.learning_rate, fused=True)
    warmup = max(1, round(options.warmup * options.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: linear_schedule(step, warmup, options.steps, first=1)
    )
    autocast = autocast_for(running.device, running.precision)
    if running.log_path is not None:
        running.log_path.parent.mkdir(parents=True, exist_ok=True)
        running.log_path.write_text("")
    log: list[dict[str, float]] = []
    total = seen = tokens = real = 0
    sums: dict[str, Tensor] = {}
    for step, batch in zip(range(1, options.steps + 1), batches, strict=False):
        batch = on_device(batch, running.device)
        with autocast(), quick_dropout(torch.device(running.device).type):
            terms = losses(batch)
        optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], options.clip)
        optimiser.step()
        schedule.step()
        rows, length = batch["input_ids"].shape
        seen += rows
        tokens += rows * length
        real += int(batch["attention_mask"].sum())
        total += flops(batch)
        for name, value in terms.items():
            sums[name] = sums.get(name, 0) + value.detach()
        if step % options.log_every == 0 or step == options.steps:
            count = (step - 1) % options.log_every + 1
            record = {"step": step, **{name: float(value) / count for name, value in sums.items()}}
            if not math.isfinite(record["loss"]):
                raise ValueError(f"{what}: the loss is not finite at step {step}; lower learning_rate")
            log.append(dict(record))
            record["learning_rate"] = float(schedule.get_last_lr()[0])
            record["examples_per_second"] = seen / (time.monotonic() - running.started)
            record["padding"] = 1 - real / tokens
            sums = {}
            running.record(record)
    return Steps(total, tuple(log))


def encode(folder: Path, texts: Sequence[Text], max_tokens: int) -> list[Encoded]:
    """Tokenize texts into ids and type ids, truncated to `max_tokens`, not padded, in the given order."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()  # files from sentence encoders carry padding to 128
    tokenizer.enable_truncation(max_tokens)
    return [(code.ids, code.type_ids) for code in tokenizer.encode_batch(list(texts))]


def length_batches(encoded: Sequence[Encoded], order: Sequence[int], size: int) -> Iterator[Batch]:
    """Yield batches [b, t] of texts of similar length: `order` is cut into windows, each sorted by length."""
    span = size * unlabelled_window(len(order), size)
    for start in range(0, len(order), span):
        window = sorted(order[start : start + span], key=lambda i: len(encoded[i][0]))
        for first in range(0, len(window), size):
            rows = [encoded[i] for i in window[first : first + size]]
            longest = max(len(ids) for ids, _ in rows)
            yield {
                "input_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows]),
                "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
                "token_type_ids": torch.tensor([types + [0] * (longest - len(types)) for _, types in rows]),
            }


def epochs(encoded: Sequence[Encoded], size: int, order: torch.Generator) -> Iterator[Batch]:
    """Yield batches forever, reshuffled every epoch; batches are shuffled too, so that lengths come mixed."""
    while True:
        batches = list(length_batches(encoded, torch.randperm(len(encoded), generator=order).tolist(), size))
        for index in torch.randperm(len(batches), generator=order).tolist():
            yield batches[index]


def on_device(batch: Batch, device: str) -> Batch:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def autocast_for(device: str, precision: str) -> Autocast:
    """Return a context factory: autocast for "bf16", a null context for "fp32"."""
    if precision == "bf16":
        return lambda: torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext
