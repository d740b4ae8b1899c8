"""Run a pair's large model over a task's train and select texts and keep all tokens' states at the mapped layers."""

from graft.compute import hardware
from graft.encoders.inference import pass_flops
from graft.encoders.layer_states import collect
from graft.encoders.models import load_encoder
from graft.flops.counts import encoder_flops
from graft.io import files
from graft.registry import depth
from graft.registry.shapes import Shape
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.embed_layers import EmbedLayers


def make(step: EmbedLayers, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    pair = grid.pair(step.pair)
    small, large = (runs.model_folder(grid, paths, model) for model in (pair.small, pair.large))
    shape, max_tokens = Shape.of(large), grid.max_tokens(step.task, pair.large)
    model = load_encoder(large).to(hardware.device_of(grid.study.launch))
    layers = [layer for _, layer in depth.uniform(Shape.of(small).layers, shape.layers)]
    splits = {split: runs.tokens(grid, paths, step.task, pair.large, split) for split in ("train", "select")}
    total, done, flops = sum(map(len, splits.values())), 0, 0
    with (
        program.progress(f"embed {step.task}") as report,
        files.atomic_folder(step.output(paths).parent) as out,
    ):

        def progress(rows: int) -> None:
            nonlocal done
            done += rows
            report(done, total)

        for split, tokens in splits.items():
            collect(model, layers, tokens, max_tokens, out / f"{split}.npy", progress)
            flops += pass_flops(lambda t: encoder_flops(shape, t), tokens, max_tokens)
        manifest = {
            "fingerprint": step.fingerprint(grid),
            "layers": layers,
            "train_flops_parts": {f"embed_layers.{step.pair}/{step.task}": flops},
            "measured": started.measured(),
        }
        files.write_json(out / "manifest.json", manifest)


if __name__ == "__main__":
    program.run_step(EmbedLayers, __doc__)
