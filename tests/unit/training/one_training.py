"""One fine-tuning of a pico BERT, as one process of those that a launch asks for: tests start it in every way.

`python -m tests.unit.training.one_training FOLDER OUT LAUNCH [DROPOUT]` with what the fixture `prepared_folder` made in
FOLDER; OUT gets the log, the checkpoints, steps.txt and, from the first process at the end, weights.pt and result.json.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from graft.compute.hardware import use_threads
from graft.config.launch import Launch
from graft.config.models import FineTuning
from graft.encoders.inference import Labelled
from graft.encoders.models import new_classifier
from graft.registry.shapes import Shape
from graft.registry.tasks import TASKS
from graft.study.program import run as run_program
from graft.tasks.tokens import TokenisedSplit
from graft.training.checkpoints import Checkpoints
from graft.training.finetuning import PassCost, Training, finetune

SETTINGS = FineTuning(learning_rate=3e-3, batch_size=16, epochs=3, max_tokens=32)


def train(folder: Path, out: Path, launch: Launch, settings: FineTuning = SETTINGS, dropout: float = 0.0) -> None:
    """Fine-tune; without dropout, which differs between processes."""
    use_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    splits = [
        Labelled(TokenisedSplit.load(folder / "tokens", split), np.load(folder / f"{split}.npy"))
        for split in ("train", "select")
    ]
    row = TASKS["sst2"]
    model = new_classifier(folder / "model", row.labels, 0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    with (out / "steps.txt").open("a") as steps:

        def progress(step: int, *_: object) -> None:
            steps.write(f"{step}\n")
            steps.flush()

        training = Training(
            row,
            *splits,
            settings,
            0,
            launch,
            out / "training.jsonl",
            PassCost.of_classifier(Shape.of(folder / "model"), row.outputs),
            checkpoints=Checkpoints(out / "checkpoints", launch.checkpoint_minutes),
        )
        result = finetune(model, training, progress)
    if int(os.environ.get("RANK", 0)) == 0:
        torch.save(result.model.state_dict(), out / "weights.pt")
        found = {"epochs": result.epochs, "best": result.best, "flops": result.flops, "effective": result.effective}
        (out / "result.json").write_text(json.dumps(found))


if __name__ == "__main__":
    arguments = Path(sys.argv[1]), Path(sys.argv[2]), Launch.model_validate_json(sys.argv[3])
    run_program(lambda: train(*arguments, dropout=float((sys.argv[4:] or ["0"])[0])))
