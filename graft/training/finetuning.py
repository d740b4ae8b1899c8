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
from transformers import BertForSequenceClassification, get_linear_schedule_with_warmup

from graft.cost.flops import classifier_flops, training_flops
from graft.inference import pass_flops, predict
from graft.shapes import Shape
from graft.study import FineTuning
from graft.tasks import metrics
from graft.tasks.table import TaskRow
from graft.tasks.tokens import TokenisedSplit
from graft.training.batches import padding_waste, training_batches
from graft.training.optimizer import parameter_groups

LOG_EVERY = 20


@dataclass(frozen=True)
class Labelled:
    """A split with its labels: class ids or scores, [rows]. Where `rows` are given, only these are trained on."""

    tokens: TokenisedSplit
    labels: np.ndarray
    rows: np.ndarray | None = None


@dataclass(frozen=True)
class FineTuned:
    """Outcome of a fine-tuning: the model carries the weights of `epochs[best]`, the epoch with the best `select`."""

    model: BertForSequenceClassification
    epochs: list[dict[str, float]]
    best: int
    flops: dict[str, int]
    effective: dict[str, Any]

    @property
    def score(self) -> float:
        return self.epochs[self.best]["select"]


def finetune(
    model: BertForSequenceClassification,
    row: TaskRow,
    train: Labelled,
    select: Labelled,
    settings: FineTuning,
    seed: int,
    precision: str,
    device: str,
    log: Path,
    progress: Callable[[int, int, str], None],
) -> FineTuned:
    """Fine-tune `model` in place on `train` and return it with the weights of its best epoch on `select`.

    `precision`: "fp32" or "bf16" (autocast; weights and optimizer stay fp32). Loss: cross-entropy, or mean squared
    error for a score. One JSON line per 20 steps and per epoch goes to `log`; `progress(step, steps, text)` is called
    at each step. Raises FloatingPointError with step and rows when the loss is not finite.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    accelerator = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=device == "cpu")
    shape = Shape.from_config(model.config.to_dict())
    chosen = np.arange(len(train.tokens)) if train.rows is None else train.rows
    lengths = train.tokens.lengths(settings.max_tokens)[chosen]
    steps = settings.epochs * math.ceil(len(lengths) / settings.batch_size)
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
    dtype = torch.float32 if row.labels is None else torch.int64
    labels = torch.tensor(train.labels, dtype=dtype)

    select_flops = pass_flops(lambda t: classifier_flops(shape, t, row.outputs), select.tokens, settings.max_tokens)
    step, flops, epochs, best_state = 0, {"train": 0, "select": 0}, [], {}
    with log.open("w") as handle:

        def record(**values: Any) -> None:
            handle.write(json.dumps(values) + "\n")
            handle.flush()

        for epoch in range(settings.epochs):
            model.train()
            batches = training_batches(lengths, settings.batch_size, rng)
            started, losses, examples = time.perf_counter(), [], 0
            for rows in (chosen[positions] for positions in batches):
                batch = train.tokens.batch(rows, settings.max_tokens)
                batch = {k: v.to(accelerator.device) for k, v in batch.items()}
                with accelerator.autocast():
                    loss = model(**batch, labels=labels[rows].to(accelerator.device)).loss
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
                flops["train"] += len(rows) * training_flops(
                    classifier_flops(shape, batch["input_ids"].shape[1], row.outputs)
                )
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
            # Without accelerate's wrapper, which would run the choice of the epoch under autocast too.
            raw = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
            logits = predict(raw, select.tokens, settings.max_tokens)
            score = metrics.primary(logits, select.labels, row)
            flops["select"] += select_flops
            epochs.append({"epoch": epoch + 1, "loss": float(np.mean(losses)), "select": score})
            record(
                **epochs[-1],
                metric=row.primary_metric,
                examples_per_second=examples / (time.perf_counter() - started),
                padding_waste=padding_waste(lengths, batches),
            )
            if score > max((e["select"] for e in epochs[:-1]), default=-math.inf):
                best_state = {k: v.detach().to("cpu", copy=True) for k, v in raw.state_dict().items()}
    best = max(range(len(epochs)), key=lambda i: epochs[i]["select"])
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
