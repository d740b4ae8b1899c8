"""Peak memory of the steps of a study at BERT-base's shape, each in a separate process.

python -m benchmarks.peaks [STEP ...]
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TOKENS, VOCABULARY = 128, 30522
STEPS = ("imports", "embed", "predict", "merge", "calibrate", "train")


def texts(rows: int):
    """Random texts of 128 tokens."""
    from graft.tasks.tokens import Column, TokenisedSplit

    ids = np.random.default_rng(0).integers(1000, VOCABULARY, rows * (TOKENS - 2))
    return TokenisedSplit([Column(ids.astype(np.int32), np.arange(rows + 1) * (TOKENS - 2))], (0, 101, 102))


def write_models(folder: Path) -> None:
    from graft.encoders.models import config_of, new_classifier
    from graft.encoders.network import Encoder
    from graft.encoders.saving import save_model
    from graft.registry.shapes import Shape

    for name in ("base", "small", "tuned"):
        (folder / name).mkdir()
    save_model(Encoder(config_of(Shape(12, 768, 12, 3072, 30522))), folder / "base")
    save_model(Encoder(config_of(Shape(6, 384, 12, 1536, 30522))), folder / "small")
    save_model(new_classifier(folder / "base", ("a", "b"), 0), folder / "tuned")


def peak_of(step: str, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from graft.config.launch import Launch
    from graft.config.models import FineTuning
    from graft.encoders.features import embed
    from graft.encoders.inference import Labelled, batches, predict
    from graft.encoders.models import load_classifier, load_encoder, new_classifier
    from graft.merging.calibration import calibrate
    from graft.merging.saving import save_classifier, split_classifier
    from graft.registry import depth
    from graft.registry.shapes import Shape
    from graft.registry.tasks import TASKS
    from graft.training.finetuning import PassCost, Training, finetune

    torch.set_num_threads(2)
    base, small, tuned = folder / "base", folder / "small", folder / "tuned"
    if step == "embed":
        embed(load_encoder(base), {"train": texts(64)}, TOKENS, lambda *_: None)
    elif step == "predict":
        predict(load_classifier(tuned), texts(64), TOKENS)
    elif step == "merge":
        save_classifier(*split_classifier(load_classifier(tuned)), tuned, ("a", "b"), folder / "saved")
    elif step == "calibrate":
        chosen = [batch for _, batch in batches(texts(8), TOKENS)]
        sums = calibrate(load_encoder(small), load_encoder(base), depth.named("spread", 6, 12, ()), chosen)
        save_file(sums, folder / "sums.safetensors")
    elif step == "train":
        train, select = (Labelled(texts(rows), np.arange(rows) % 2) for rows in (32, 4))
        settings = FineTuning(learning_rate=2e-5, batch_size=32, epochs=1, max_tokens=TOKENS)
        launch, cost = Launch(device="cpu", precision="fp32", threads=2), PassCost.of_classifier(Shape.of(base), 2)
        training = Training(TASKS["rte"], train, select, settings, 0, launch, folder / "log.jsonl", cost)
        finetune(new_classifier(base, ("a", "b"), 0), training, lambda *_: None)
    print(f"{step:10s} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MB", flush=True)


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "--in":
        write_models(Path(sys.argv[2])) if sys.argv[3] == "models" else peak_of(sys.argv[3], Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as name:
        # Not in this process: a process starts with its parent's peak.
        for step in ("models", *(sys.argv[1:] or STEPS)):
            subprocess.run([sys.executable, "-m", "benchmarks.peaks", "--in", name, step], check=True)


if __name__ == "__main__":
    main()
