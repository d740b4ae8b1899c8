"""Fine-tuning one encoder on one task: accelerate, bf16 where it is fast, the best epoch by `select`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import get_linear_schedule_with_warmup

from graft.cost.flops import classifier_flops, training_flops
from graft.inference import pass_flops, predict
from graft.shapes import Shape
from graft.study import FineTuning
from graft.tasks import metrics
from graft.tasks.table import TaskRow
from graft.tasks.tokens import TokenisedSplit
from graft.training.batches import padding_waste, training_batches
from graft.training.loss import loss_of
from graft.training.optimizer import parameter_groups

LOG_EVERY = 20


@dataclass(frozen=True)
class Labelled:
    """A split with its labels: class ids or scores [rows], or probabilities of the classes [rows, c].

    Where `rows` are given, only these are trained on.
    """

    tokens: TokenisedSplit
    labels: np.ndarray
    rows: np.ndarray | None = None


@dataclass(frozen=True)
class PassCost:
    """FLOPs of one example padded to t tokens: of a pass without training, and of its share of a training step."""

    forward: Callable[[int], int]
    step: Callable[[int], int]

    @classmethod
    def of_classifier(cls, shape: Shape, outputs: int) -> PassCost:
        """All of a classifier is trained."""

        def forward(tokens: int) -> int:
            return classifier_flops(shape, tokens, outputs)

        return cls(forward, lambda tokens: training_flops(forward(tokens)))


@dataclass(frozen=True)
class FineTuned:
    """Outcome of a fine-tuning: the model carries the weights of `epochs[best]`, the epoch with the best `select`."""

    model: nn.Module
    epochs: list[dict[str, float]]
    best: int
    flops: dict[str, int]
    effective: dict[str, Any]

    @property
    def score(self) -> float:
        return self.epochs[self.best]["select"]


def finetune(
    model: nn.Module,
    row: TaskRow,
    train: Labelled,
    select: Labelled,
    settings: FineTuning,
    seed: int,
    precision: str,
    device: str,
    log: Path,
    progress: Callable[[int, int, str], None],
    *,
    cost: PassCost,
    steps: int | None = None,
    or_untrained: bool = False,
) -> FineTuned:
    """Fine-tune `model` in place on `train` and return it with the weights of its best epoch on `select`.

    `model` answers a batch of its splits' with logits, and with the loss where it is given labels, as Hugging Face's
    classifiers do; `cost` is what that takes. `precision`: "fp32" or "bf16" (autocast; weights and optimizer stay
    fp32). Loss: cross-entropy, or mean squared error for a score. `steps` ends training, and the schedule, after so
    many optimizer steps in the place of `settings.epochs`, and keeps the weights that they end in; `or_untrained`: the
    untrained model may be the best. One JSON line per 20 steps and per epoch goes to `log`; `progress(step, steps, text)` is called at each step. Raises
    FloatingPointError with step and rows when the loss is not finite.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    accelerator = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=device == "cpu")
    chosen = np.arange(len(train.tokens)) if train.rows is None else train.rows
    lengths = train.tokens.lengths(settings.max_tokens)[chosen]
    in_epoch = math.ceil(len(lengths) / settings.batch_size)
    every_epoch, steps = steps is None, steps or settings.epochs * in_epoch
    warmup = math.ceil(settings.warmup * steps)
    optimizer = torch.optim.AdamW(
        parameter_groups(model.parameters(), settings.weight_decay),
        lr=settings.learning_rate,
        betas=settings.adam_betas,
        eps=settings.adam_epsilon,
        fused=True,
    )
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    soft = row.labels is None or train.labels.ndim == 2
    labels = torch.tensor(train.labels, dtype=torch.float32 if soft else torch.int64)
    # Without accelerate's wrapper, which would run the choice of the epoch under autocast too.
    raw = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    select_flops = pass_flops(cost.forward, select.tokens, settings.max_tokens)
    step, flops, epochs, best, best_state = 0, {"train": 0, "select": 0}, [], 0, {}

    def loss_on(batch: dict[str, Tensor], wanted: Tensor) -> Tensor:
        if wanted.ndim == 1:
            return model(**batch, labels=wanted).loss
        return loss_of(model(**batch).logits.float(), wanted)

    def score_epoch(**values: float) -> None:
        nonlocal best, best_state
        score = metrics.primary(predict(raw, select.tokens, settings.max_tokens), select.labels, row)
        flops["select"] += select_flops
        if not epochs or score > epochs[best]["select"]:
            best, best_state = len(epochs), {k: v.detach().to("cpu", copy=True) for k, v in raw.state_dict().items()}
        epochs.append({**values, "select": score})

    with log.open("w") as handle:

        def record(**values: Any) -> None:
            handle.write(json.dumps(values) + "\n")
            handle.flush()

        if or_untrained:
            score_epoch(epoch=0)
            record(**epochs[-1], metric=row.primary_metric)
        for epoch in range(math.ceil(steps / in_epoch)):
            model.train()
            batches = training_batches(lengths, settings.batch_size, rng)[: steps - step]
            started, losses, examples = time.perf_counter(), [], 0
            for rows in (chosen[positions] for positions in batches):
                batch = train.tokens.batch(rows, settings.max_tokens)
                batch = {k: v.to(accelerator.device) for k, v in batch.items()}
                with accelerator.autocast():
                    loss = loss_on(batch, labels[rows].to(accelerator.device))
                value = loss.item()
                if not math.isfinite(value):
                    raise FloatingPointError(
                        f"loss is {value} at step {step} (train rows {rows.tolist()}); lower learning_rate, or use fp32"
                    )
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(model.parameters(), settings.clip)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
                step += 1
                losses.append(value)
                examples += len(rows)
                flops["train"] += len(rows) * cost.step(batch["input_ids"].shape[1])
                speed = examples / (time.perf_counter() - started)
                progress(
                    step, steps, f"epoch {epoch + 1} loss {np.mean(losses[-LOG_EVERY:]):.4f} {speed:.0f} examples/s"
                )
                if step % LOG_EVERY == 0:
                    record(
                        step=step,
                        epoch=epoch + 1,
                        loss=float(np.mean(losses[-LOG_EVERY:])),
                        learning_rate=schedule.get_last_lr()[0],
                        examples_per_second=speed,
                    )
            if not every_epoch and step < steps:
                continue
            score_epoch(epoch=epoch + 1, loss=float(np.mean(losses)))
            record(
                **epochs[-1],
                metric=row.primary_metric,
                examples_per_second=examples / (time.perf_counter() - started),
                padding_waste=padding_waste(lengths, batches),
            )
    raw.load_state_dict(best_state)
    effective = {
        **settings.model_dump(),
        "steps": steps,
        "warmup_steps": warmup,
        "optimizer": "AdamW (fused, bias-corrected)",
        "schedule": "linear warm-up, linear decay to 0",
        "precision": precision,
        "loss": "mean squared error" if row.labels is None else "cross-entropy",
        "bucketing": "length windows of 8 batches",
        "seed": seed,
    }
    return FineTuned(raw.cpu().eval(), epochs, best, flops, effective)
