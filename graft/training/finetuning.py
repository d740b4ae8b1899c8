"""Fine-tune one encoder on one task: in one process or many, resumable, keeping the best epoch by `select`."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graft.compute.stopping import Request, Stopped, listening
from graft.config.launch import Launch
from graft.config.models import FineTuning
from graft.encoders.batches import INFERENCE_BATCH, WINDOW, inference_batches, padding_waste, passes, training_batches
from graft.encoders.inference import Batch, Labelled, pass_flops, run
from graft.encoders.network import set_attention
from graft.flops.counts import classifier_flops, packed_flops, training_flops
from graft.io.progress import Report
from graft.registry.shapes import Shape
from graft.registry.tasks import TaskRow
from graft.tasks import metrics
from graft.training.checkpoints import Checkpoints
from graft.training.dropout import quick_dropout
from graft.training.graphs import Replayed
from graft.training.loss import loss_of
from graft.training.optimizer import AdamW, linear_schedule, parameter_groups
from graft.training.world import World

LOG_EVERY = 20


@dataclass(frozen=True)
class PassCost:
    """FLOPs of one example padded to t tokens: of a forward pass, and of its share of a training step; and, of a model
    that can be packed, of a training step on examples of these lengths [rows]."""

    forward: Callable[[int], int]
    step: Callable[[int], int]
    packed: Callable[[np.ndarray], int] | None = None

    def of_step(self, lengths: np.ndarray, packs: bool = False) -> int:
        """FLOPs of a training step on a batch of examples of these lengths [rows] in tokens, padded or packed."""
        return self.packed(lengths) if packs and self.packed else len(lengths) * self.step(int(lengths.max()))

    @classmethod
    def of_classifier(cls, shape: Shape, outputs: int) -> PassCost:
        """Cost of a classifier with all its weights trained."""

        def forward(tokens: int) -> int:
            return classifier_flops(shape, tokens, outputs)

        def packed(lengths: np.ndarray) -> int:
            return training_flops(packed_flops(shape, lengths, outputs))

        return cls(forward, lambda tokens: training_flops(forward(tokens)), packed)


@dataclass(frozen=True)
class FineTuned:
    """Outcome of a fine-tuning: the model carries the weights of `epochs[best]`, the epoch with the best `select`."""

    model: Any
    epochs: list[dict[str, float]]
    best: int
    flops: dict[str, int]
    """As computed: packed, where batches are."""
    nominal: dict[str, int]
    """Of what was packed, as padding would have made it."""
    effective: dict[str, Any]
    earlier_seconds: float = 0.0
    """Of attempts that were stopped or killed, up to the checkpoint from which this one went on."""

    @property
    def score(self) -> float:
        return self.epochs[self.best]["select"]


@dataclass
class Position:
    """Progress of a training run without weights, optimizer and random state; stored in checkpoints as JSON."""

    order: Mapping[str, Any]
    """State of the generator of the epoch's order, at the epoch's start."""
    step: int = 0
    epoch: int = 0
    """Under way, or waiting to be scored; from 0."""
    losses: list[float] = field(default_factory=list)
    """Of this epoch's steps."""
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
    flops: dict[str, int] = field(default_factory=lambda: {"train": 0, "select": 0})
    nominal: int = 0
    """FLOPs of training with padding."""
    log_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Training:
    """Data, settings and files of one fine-tuning.

    The loss is cross-entropy, or mean squared error for a score.
    """

    row: TaskRow
    train: Labelled
    select: Labelled
    settings: FineTuning
    seed: int
    launch: Launch
    """Precision, and the processes that train together, this one among them."""
    log: Path
    """Gets one JSON line per 20 steps and per epoch."""
    cost: PassCost
    name: str = "fine-tuning"
    """Name for trackers."""
    steps: int | None = None
    """Replaces the epochs: training and schedule end after this many optimizer steps, and the last weights are kept."""
    or_untrained: bool = False
    """Whether the untrained model may be the best."""
    loss: Callable[[Tensor, Tensor], Tensor] = loss_of
    """Of logits [b, c] and the rows' labels where these are no single class or score."""
    score: Callable[[np.ndarray], float] | None = None
    """Of logits [rows, c] of `select`; by default the task's primary metric."""
    checkpoints: Checkpoints | None = None
    """Training resumes where an earlier attempt was stopped or killed, and reaches the same weights."""


def finetune(model: nn.Module, training: Training, progress: Report) -> FineTuned:
    """Fine-tune `model` in place and return it with the weights of its best epoch on `select`.

    `model` returns logits for a batch of its splits, and the loss if it is given labels, as Hugging Face's classifiers
    do; `progress(step, steps, text)` is called at each step. Raises Stopped after SIGTERM or SIGUSR1, leaving a
    checkpoint; FloatingPointError with step and rows if the loss is not finite; ValueError if the processes are not
    those of the launch.
    """
    world = World(training.launch, training.settings.clip, training.log.with_suffix(""))
    with listening() as request:
        loop = _Loop(world, request, model, training, progress)
        loop.go_on()
        loop.begin_log()
        loop.run()
        return loop.result()


class _Loop:
    """The loop of a training in one of its processes; `position` is how far it has come."""

    def __init__(self, world: World, request: Request, model: nn.Module, training: Training, progress: Report) -> None:
        self.world, self.request, self.training, self.progress = world, request, training, progress
        self.settings, self.cost, train = training.settings, training.cost, training.train
        # Processes draw different dropout masks.
        torch.manual_seed(training.seed + 1_000_003 * world.rank)
        self.rng = np.random.default_rng(training.seed)
        self.chosen = np.arange(len(train.tokens)) if train.rows is None else train.rows
        self.lengths = train.tokens.lengths(self.settings.max_tokens)[self.chosen]
        self.in_epoch = math.ceil(len(self.lengths) / self.settings.batch_size)
        self.steps = training.steps or self.settings.epochs * self.in_epoch
        self.warmup = math.ceil(self.settings.warmup * self.steps)
        set_attention(model, world.attention)
        optimizer = AdamW(
            parameter_groups(model.parameters(), self.settings.weight_decay),
            lr=self.settings.learning_rate,
            betas=self.settings.adam_betas,
            eps=self.settings.adam_epsilon,
            fused=True,
        )
        world.prepare(model, optimizer)
        self.replayed = Replayed(self.add_gradients, self.settings.max_tokens) if world.records_graphs else None
        soft = training.row.labels is None or train.labels.ndim == 2
        self.labels = torch.tensor(train.labels, dtype=torch.float32 if soft else torch.int64)
        self.select_flops = pass_flops(self.cost.forward, training.select.tokens, self.settings.max_tokens)
        self.position = Position(self.rng.bit_generator.state)
        self.best_state: dict[str, Tensor] = {}
        self.started, self.earlier = time.perf_counter(), 0.0
        # A step's loss is read once the next step has been queued on the GPU, so that the GPU never waits for it.
        self.unread: tuple[int, np.ndarray, Tensor] | None = None
        self.due = self.asked = False

    def go_on(self) -> None:
        """Resume from the newest checkpoint, if there is one."""
        found = self.training.checkpoints and self.training.checkpoints.load(self.world)
        if found:
            self.position, self.best_state = Position(**found[0]), found[1]
            self.earlier = self.position.seconds

    def begin_log(self) -> None:
        """Truncate the log to the lines written up to the checkpoint, and start the trackers."""
        log, name = self.training.log, self.training.name
        if self.world.main:
            written = log.stat().st_size if log.is_file() else 0
            if written < self.position.log_bytes or not self.position.step:
                log.write_bytes(b"")
            else:
                os.truncate(log, self.position.log_bytes)
        if self.world.launch.trackers:
            config = {key: str(value) for key, value in self.effective().items()}
            names = {"wandb": {"name": name}, "mlflow": {"run_name": name}}
            self.world.accelerator.init_trackers("graft", config, names)

    def run(self) -> None:
        """Train to the end, scoring epochs on the way."""
        if self.training.or_untrained and not self.position.epochs:
            self.score_epoch(epoch=0)
            self.record(**self.position.epochs[-1], metric=self.training.row.primary_metric)
        while self.position.epoch < math.ceil(self.steps / self.in_epoch):
            self.run_epoch()
        for tracker in self.world.accelerator.trackers:
            tracker.finish()
        if self.training.checkpoints and self.training.checkpoints.end_too:
            self.save()

    def run_epoch(self) -> None:
        position, settings = self.position, self.settings
        self.rng.bit_generator.state = position.order
        first = position.epoch * self.in_epoch
        batches = training_batches(self.lengths, settings.batch_size, self.rng)[: self.steps - first]
        shared = [passes(rows, self.lengths, self.world.size, self.world.launch.pass_tokens) for rows in batches]
        started, examples = time.perf_counter(), 0
        self.world.model.train()
        for done in range(position.step - first, len(batches)):
            self.step(batches[done], shared[done])
            examples += len(batches[done])
            speed = examples / (time.perf_counter() - started)
            logged = position.step % LOG_EVERY == 0
            if logged:
                self.read()
            loss = float(np.mean(position.losses[-LOG_EVERY:])) if position.losses else math.nan
            epoch = position.epoch + 1
            shown = f"loss {loss:.4f} " if position.losses else ""
            self.progress(position.step, self.steps, f"epoch {epoch} {shown}{speed:.0f} examples/s")
            if logged:
                rate = settings.learning_rate * linear_schedule(position.step, self.warmup, self.steps)
                self.record(step=position.step, epoch=epoch, loss=loss, learning_rate=rate, examples_per_second=speed)
            if self.due or self.asked:
                self.save()
        self.read()
        speed = examples / (time.perf_counter() - started)
        if self.asked:
            self.save()
        if self.training.steps is None or position.step == self.steps:
            self.score_epoch(epoch=position.epoch + 1, loss=float(np.mean(position.losses)))
            self.record(
                **position.epochs[-1],
                metric=self.training.row.primary_metric,
                examples_per_second=speed,
                padding_waste=padding_waste(self.lengths, [own for p in shared for s in p for own in s if len(own)]),
            )
        position.epoch, position.losses, position.order = position.epoch + 1, [], self.rng.bit_generator.state

    def step(self, rows: np.ndarray, shared: list[list[np.ndarray]]) -> None:
        """Take one optimizer step on a batch; `rows` [b] and `shared` index into the rows that are trained on."""
        world, position, settings = self.world, self.position, self.settings
        for group in world.optimizer.param_groups:
            factor = linear_schedule(position.step, self.warmup, self.steps)
            group["lr"] = settings.learning_rate * factor
        values = torch.zeros(3, device=world.device)
        with world.training_kernels():
            for number, parts in enumerate(shared):
                last, own = number + 1 == len(shared), parts[world.rank]
                # All processes take part in every pass: one without rows runs a row with weight 0.
                taken, weight = (own, len(own) / len(rows)) if len(own) else (rows[:1], 0.0)
                values[0] += weight * self.one_pass(self.chosen[taken], weight * world.size, last)
                for one in filter(len, parts):
                    position.nominal += self.cost.of_step(self.lengths[one])
                    position.flops["train"] += self.cost.of_step(self.lengths[one], world.packs)
            world.step()
        position.step += 1
        # All processes must save or stop at the same step, so the request travels with the loss.
        checkpoints = self.training.checkpoints
        due = world.main and checkpoints is not None and checkpoints.due()
        wishes = torch.tensor([float(due), float(bool(self.request))])
        values[1:].copy_(wishes, non_blocking=True)
        self.read()
        self.unread = position.step, self.chosen[rows], world.sum(values)

    def one_pass(self, rows: np.ndarray, factor: float, last: bool) -> Tensor:
        """Add the gradients of `factor` times the mean loss of these rows of train; returns that loss."""
        world = self.world
        batch = self.training.train.tokens.batch(rows, self.settings.max_tokens)
        batch = {name: tensor.to(world.device, non_blocking=True) for name, tensor in batch.items()}
        wanted = self.labels[rows].to(world.device, non_blocking=True)
        if self.replayed and len(rows) == self.settings.batch_size:
            return self.replayed(batch, wanted)
        with world.exchanging(last):
            return self.add_gradients(batch, wanted, factor, last)

    def add_gradients(self, batch: Batch, wanted: Tensor, factor: float = 1.0, last: bool = True) -> Tensor:
        """Add the gradients of `factor` times the mean loss of a batch; returns that loss."""
        world = self.world
        with world.accelerator.autocast(), quick_dropout(world.device_kind):
            inputs = world.inputs(batch)
            if wanted.ndim == 1:
                loss = world.model(**inputs, labels=wanted).loss
            else:
                loss = self.training.loss(world.model(**inputs).logits.float(), wanted)
        world.backward(loss * factor, last)
        return loss.detach()

    def read(self) -> None:
        """Read the pending step's loss, and whether any process asks to save or to stop."""
        if self.unread is None:
            return
        (step, rows, values), self.unread = self.unread, None
        loss, due, asked = values.tolist()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"loss is {loss} at step {step - 1} (train rows {rows.tolist()}); lower learning_rate, or use fp32"
            )
        self.position.losses.append(loss)
        self.due, self.asked = due > 0, asked > 0

    def save(self) -> None:
        """Write a checkpoint of the last step; raises Stopped if a stop was requested."""
        self.read()
        position, checkpoints = self.position, self.training.checkpoints
        position.seconds = self.earlier + time.perf_counter() - self.started
        if checkpoints:
            checkpoints.save(self.world, position.step, asdict(position), self.best_state)
        if self.asked:
            kept = "a checkpoint was saved to resume from" if checkpoints else "nothing was saved"
            by = self.request.name or "in another process"
            raise Stopped(f"stopped on request ({by}) at step {position.step} of {self.steps}; {kept}")
        self.due = False

    def score_epoch(self, **values: float) -> None:
        """Score the model on `select`, and keep its weights if it is the best so far."""
        position, raw = self.position, self.world.whole()
        training, logits = self.training, self.predict(raw)
        score = (
            training.score(logits) if training.score else metrics.primary(logits, training.select.labels, training.row)
        )
        position.flops["select"] += self.select_flops
        if not position.epochs or score > position.epochs[position.best]["select"]:
            position.best = len(position.epochs)
            self.best_state = {k: v.detach().to("cpu", copy=True) for k, v in raw.state_dict().items()}
        position.epochs.append({**values, "select": score})

    def predict(self, raw: nn.Module) -> np.ndarray:
        """Logits of `select` [n, c], its batches shared among the processes; raises Stopped if one is to stop."""
        tokens, longest, world = self.training.select.tokens, self.settings.max_tokens, self.world
        raw.eval()

        def logits(batch: Batch) -> Tensor:
            if self.request:
                raise Stopped
            return raw(**batch).logits

        own = inference_batches(tokens.lengths(longest), INFERENCE_BATCH)[world.rank :: world.size]
        rows = np.concatenate(own) if own else np.empty(0, dtype=np.int64)
        try:
            found = run(logits, tokens, longest, rows, world.device) if len(rows) else None
            stopped = False
        except Stopped:
            found, stopped = None, True
        shares = world.gather((rows, found, stopped))
        if any(stopped for *_, stopped in shares):
            self.asked = True
            self.save()  # it raises Stopped
        parts = [(rows, found) for rows, found, _ in shares if found is not None]
        result = np.empty((len(tokens), parts[0][1].shape[1]), dtype=np.float32)
        for rows, found in parts:
            result[rows] = found
        return result

    def record(self, **values: Any) -> None:
        """Write one line to the log, and send its numbers to the trackers."""
        if self.world.main:
            with self.training.log.open("a") as handle:
                handle.write(json.dumps(values) + "\n")
            self.position.log_bytes = self.training.log.stat().st_size
        if self.world.launch.trackers:
            numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
            self.world.accelerator.log(numbers, step=self.position.step)

    def effective(self) -> dict[str, Any]:
        return {
            **self.settings.model_dump(),
            "steps": self.steps,
            "warmup_steps": self.warmup,
            "optimizer": "AdamW (fused, bias-corrected)",
            "schedule": "linear warm-up, linear decay to 0",
            "loss": "mean squared error" if self.training.row.labels is None else "cross-entropy",
            "bucketing": f"length windows of {WINDOW} batches",
            "seed": self.training.seed,
            **self.world.effective(),
        }

    def result(self) -> FineTuned:
        """Return the model with the weights of its best epoch."""
        raw, position = self.world.whole(), self.position
        self.replayed = None  # it holds GPU memory, and a reference to this object
        raw.zero_grad()
        raw.load_state_dict(self.best_state)
        nominal = {"train": position.nominal} if self.world.packs else {}
        done = raw.cpu().eval(), position.epochs, position.best, position.flops, nominal
        return FineTuned(*done, self.effective(), self.earlier)
