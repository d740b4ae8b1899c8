"""Compare a pair's activations on the same unlabelled tokens and keep their moments."""

import time

import numpy as np
from safetensors.torch import save_file

from graft import files, program, runs
from graft.cost.flops import calibration_flops
from graft.encoders import load_encoder
from graft.inference import batches
from graft.merging.calibration import calibrate
from graft.merging.protocol import uniform_depth_map
from graft.shapes import Shape

# The texts are drawn once for all seeds, since the pre-trained models they describe have none.
TEXT_SEED = 0


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--pair", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    started = time.perf_counter()
    grid, paths = program.context(args)
    program.check_fingerprint(grid.calibrate(args.task, args.pair), args.fingerprint, args.pair)
    program.use_threads(grid.study.launch.threads)
    device = program.device_of(grid.study.launch)
    pair, settings = grid.pair(args.pair), grid.study.calibration
    tokens = runs.tokens(grid, paths, args.task, pair.large, "train")
    max_tokens = grid.max_tokens(args.task, pair.large)
    order = np.random.default_rng(TEXT_SEED).permutation(len(tokens))
    # Whole texts, until so many tokens are read.
    rows = order[: int(np.searchsorted(np.cumsum(tokens.lengths(max_tokens)[order]), settings.tokens)) + 1]
    small, large = (load_encoder(runs.model_folder(grid, paths, m)).to(device) for m in (pair.small, pair.large))
    shapes = [Shape.of(paths.model(m)) for m in (pair.small, pair.large)]
    done = flops = 0
    with program.progress(f"calibrate {args.task}") as report:

        def count(examples: int) -> None:
            nonlocal done
            done += examples
            report(done, len(rows), "")

        chosen = [batch for _, batch in batches(tokens, max_tokens, rows)]
        flops = sum(calibration_flops(*shapes, *batch["input_ids"].shape) for batch in chosen)
        statistics = calibrate(small, large, uniform_depth_map(shapes[0].layers, shapes[1].layers), chosen, count)
    with files.atomic_folder(paths.statistics(args.task, args.pair)) as folder:
        save_file(statistics, folder / "statistics.safetensors")
        files.write_json(
            folder / "manifest.json",
            {
                "fingerprint": args.fingerprint,
                "texts": len(rows),
                "tokens": int(tokens.lengths(max_tokens)[rows].sum()),
                "train_flops_parts": {f"calibrate.{args.pair}/{args.task}": flops},
                "measured": program.measured(started),
            },
        )


if __name__ == "__main__":
    program.run(main)
