"""Measure what this machine computes in a second: a few training steps, passes and closed forms of given shapes."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from graft.compute import provenance
from graft.compute.hardware import device_of, precision_of, use_threads
from graft.config.launch import Launch
from graft.config.models import FineTuning
from graft.encoders.features import embed
from graft.encoders.inference import Labelled
from graft.encoders.models import config_of
from graft.encoders.network import Classifier, Encoder
from graft.encoders.saving import save_model
from graft.flops import counts as count
from graft.io import files
from graft.merging.classifier_heads import ridge
from graft.registry.rates import Rates
from graft.registry.shapes import Shape
from graft.registry.tasks import TaskRow
from graft.tasks.tokens import Column, TokenisedSplit
from graft.training.finetuning import PassCost, Training, finetune

# Texts of each shape's trial: batches of 32, as long as most sentences of GLUE. On a GPU, more of them, since the
# first steps record its kernels.
_BATCH, _LENGTHS, _BATCHES = 32, (8, 24), {"cpu": 3, "cuda": 100}
_ROW = TaskRow(text=("text",), label="label", metrics=("accuracy",), labels=("no", "yes"))
# Rounds of each trial, or as many as fit into these seconds; the best counts.
_ROUNDS, _SECONDS = 3, 4.0


def measure(launch: Launch, shapes: Iterable[Shape], folder: Path) -> Rates:
    """Rates of this machine for models of these shapes with random weights, one process; `folder`: where models go.

    Raises ValueError without shapes.
    """
    wanted = {one.width: one for one in sorted(shapes, key=lambda one: one.layers)}
    if not wanted:
        raise ValueError("no model's shape is known yet; run `snakemake models`, then measure")
    use_threads(launch.threads)
    launch, device = launch.alone(), device_of(launch)
    training = f"training {precision_of(launch)}"
    found: dict[str, dict[int, float]] = {training: {}, "inference": {}, "closed form": {}}
    # On a CPU the time of this process alone counts, so that other work beside it makes no difference.
    clock = time.perf_counter if device == "cuda" else lambda: time.process_time() / launch.threads
    folder.mkdir(parents=True, exist_ok=True)
    for width, shape in sorted(wanted.items()):
        texts = _texts(shape, _BATCH * _BATCHES[device])
        found[training][width] = _best(functools.partial(_train, shape, texts, launch, device), clock)
        found["inference"][width] = _best(functools.partial(_read, shape, texts, device), clock)
        found["closed form"][width] = _best(functools.partial(_fit, width), clock)
    saving = _best(functools.partial(_save, shape, folder), time.perf_counter)
    hardware = provenance.hardware()
    machine = (
        hardware["gpu"] if device == "cuda" else f"{launch.threads} of {hardware['cores']} cores of {hardware['cpu']}"
    )
    return Rates(machine, device, time.strftime("measured by `plan --measure` on %Y-%m-%d"), found, saving)


def _best(prepare: Callable[[], Callable[[], float]], clock: Callable[[], float]) -> float:
    """The best rate of a work, which returns how much it did: FLOPs, or bytes; each round prepares it first."""
    began, best = time.perf_counter(), 0.0
    for _ in range(_ROUNDS):
        work = prepare()
        started = clock()
        done = work()
        best = max(best, done / (clock() - started))
        if time.perf_counter() - began > _SECONDS:
            break
    return best


def _texts(shape: Shape, rows: int) -> TokenisedSplit:
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(*_LENGTHS, rows))])
    ids = rng.integers(3, shape.vocabulary, offsets[-1])
    return TokenisedSplit([Column(ids, offsets)], (0, 1, 2))


def _train(shape: Shape, texts: TokenisedSplit, launch: Launch, device: str) -> Callable[[], float]:
    """An epoch of fine-tuning."""
    labels, few = np.arange(len(texts)) % 2, _texts(shape, 2)
    longest = min(128, shape.positions)
    settings = FineTuning(learning_rate=1e-5, batch_size=_BATCH, epochs=1, max_tokens=longest)
    model = Classifier(config_of(shape)).to(device)
    cost, select = PassCost.of_classifier(shape, 2), Labelled(few, np.arange(2))

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "training.jsonl"
            training = Training(_ROW, Labelled(texts, labels), select, settings, 0, launch, log, cost)
            return finetune(model, training, lambda *_: None).flops["train"]

    return work


def _read(shape: Shape, texts: TokenisedSplit, device: str) -> Callable[[], float]:
    """A pass over the texts."""
    model = Encoder(config_of(shape)).to(device).eval()
    return lambda: embed(model, {"texts": texts}, min(128, shape.positions), lambda *_: None)[1]


def _fit(width: int) -> Callable[[], float]:
    """A fit and some products, in float64 on the CPU: closed forms are made of both."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2 * width, width, generator=generator, dtype=torch.float64)

    def work() -> float:
        ridge.fit(states, states[:, :2], (0.1,))
        for _ in range(4):
            states.T @ states
        return count.ridge_flops(2 * width, width, 2) + 4 * 4 * width**3

    return work


def _save(shape: Shape, folder: Path) -> Callable[[], float]:
    """Saving a model and its sha256."""
    model = Encoder(config_of(shape))

    def work() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            save_model(model, place)
            files.sha256(saved := Path(place) / "model.safetensors")
            return saved.stat().st_size

    return work
