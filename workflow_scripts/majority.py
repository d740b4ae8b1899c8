"""Make the baseline that uses only labels: the most frequent class of train, or its mean score."""

import numpy as np

from graft.compute import hardware
from graft.merging.composite import manifest
from graft.study import program, runs
from graft.tasks import metrics


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    args.seed = "all"
    grid, paths = program.context(args)
    started = hardware.Stopwatch(hardware.on_cpu(grid.study.launch))
    program.check_fingerprint(grid.made(args.task, "majority", args.seed), args.fingerprint, "majority")
    row = grid.row(args.task)
    train, select = (runs.labels(paths, args.task, split) for split in ("train", "select"))
    logits = [float(train.mean())] if row.labels is None else np.bincount(train, minlength=row.outputs) / len(train)
    out = paths.run(args.task, "majority", args.seed)
    manifest.write(out / "model", "constant", logits=[float(x) for x in logits])
    score = metrics.primary(np.tile(logits, (len(select), 1)), select, row)
    runs.save_system(
        out,
        args,
        system="majority",
        flops={},
        pretraining_flops=0,
        hyperparameters={},
        choices=[],
        select={"metric": row.primary_metric, "value": score},
        launch=hardware.on_cpu(grid.study.launch),
        started=started,
    )


if __name__ == "__main__":
    program.run(main)
