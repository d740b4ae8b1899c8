"""Run both models of a pair on the same unlabelled tokens and keep the moments of their activations."""

from safetensors.torch import save_file

from graft.compute import hardware
from graft.encoders.architecture import stacked
from graft.encoders.inference import batches, first_texts, padded_tokens, pair_flops
from graft.encoders.models import encoder_of, load_encoder
from graft.flops.counts import moments_flops, similarity_flops
from graft.io import files
from graft.merging.alignment.cka import layer_similarity
from graft.merging.calibration import calibrate
from graft.registry import depth
from graft.registry.shapes import Shape
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.calibrate import Calibrate
from graft.tasks.spans import PairedSplit


def make(step: Calibrate, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    device = hardware.device_of(grid.study.launch)
    pair, settings = grid.pair(step.pair), grid.study.calibration
    tokens = runs.calibration_tokens(grid, paths, step.task, pair)
    max_tokens = grid.max_tokens(step.task, pair.large)
    rows, few = (first_texts(tokens, max_tokens, n) for n in (settings.tokens, depth.SIMILARITY_TOKENS))
    small, large = (load_encoder(runs.model_folder(grid, paths, m)).to(device) for m in (pair.small, pair.large))
    shapes = [Shape.of(paths.model(m)) for m in (pair.small, pair.large)]
    similarity = layer_similarity(small, large, (batch for _, batch in batches(tokens, max_tokens, few)))
    compared = pair_flops(*shapes, tokens, max_tokens, few)
    compared += similarity_flops(*shapes, int(tokens.lengths(max_tokens)[few].sum()))
    depth_map = depth.named(step.depth, shapes[0].layers, shapes[1].layers, similarity[1:, 1:].tolist())
    sites = depth_map
    if step.depth in depth.DEEPENED:
        body = stacked(small.state_dict(), [m for m, _ in depth_map], midpoints=step.depth == "midpoints")
        shapes[0] = depth.as_deep(step.depth, *shapes)
        small, sites = encoder_of(body, shapes[0]), tuple((g, g) for _, g in depth_map)
    done = 0
    with program.progress(f"calibrate {step.task}") as report:

        def count(examples: int) -> None:
            nonlocal done
            done += examples
            report(done, len(rows), "")

        chosen = [batch for _, batch in batches(tokens, max_tokens, rows)]
        statistics = calibrate(small, large, sites, chosen, count)
    # Products are taken of tokens alone; those of padding are counted too, so that a plan can count the same.
    products = moments_flops(*shapes, len(depth_map), int(padded_tokens(tokens, max_tokens, rows).sum()))
    flops = {"sites": pair_flops(*shapes, tokens, max_tokens, rows) + products, "similarity": compared}
    files.write_json(step.similarity(paths), similarity.tolist())
    with files.atomic_folder(step.output(paths).parent) as folder:
        save_file(statistics, folder / "statistics.safetensors")
        name = f"calibrate.{step.pair}/{step.task}/{step.depth}"
        files.write_json(
            folder / "manifest.json",
            {
                "fingerprint": step.fingerprint(grid),
                "depth_map": [list(mapped) for mapped in depth_map],
                "texts": len(rows),
                "tokens": int(tokens.lengths(max_tokens)[rows].sum()),
                **({"spans": tokens.count(rows, max_tokens)} if isinstance(tokens, PairedSplit) else {}),
                "train_flops_parts": {f"{name}/{part}": count for part, count in flops.items()},
                "measured": started.measured(),
            },
        )


if __name__ == "__main__":
    program.run_step(Calibrate, __doc__)
