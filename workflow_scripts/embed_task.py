"""Run a pre-trained model over a task's train and select texts and keep its [CLS] and mean states."""

from graft.compute import hardware
from graft.encoders.features import embed, save_states
from graft.encoders.models import load_encoder
from graft.io import files
from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.runs import model_folder, tokens
from graft.study.steps.embed_task import EmbedTask


def make(step: EmbedTask, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    model = load_encoder(model_folder(grid, paths, step.model)).to(hardware.device_of(grid.study.launch))
    splits = {split: tokens(grid, paths, step.task, step.model, split) for split in ("train", "select")}
    with program.progress(f"embed {step.task}") as progress:
        states, flops = embed(model, splits, grid.max_tokens(step.task, step.model), progress)
    manifest = {
        "fingerprint": step.fingerprint(grid),
        "train_flops_parts": {f"embed.{step.model}/{step.task}": flops},
        "measured": started.measured(),
    }
    with files.atomic_folder(step.output(paths).parent) as folder:
        save_states(states, folder / "states.safetensors")
        files.write_json(folder / "manifest.json", manifest)


if __name__ == "__main__":
    program.run_step(EmbedTask, __doc__)
