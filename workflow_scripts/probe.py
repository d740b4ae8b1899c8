"""Fit a linear head in closed form on a frozen model's states; the ridge size is chosen on `select`."""

import torch

from graft.compute import hardware
from graft.encoders.features import load_states
from graft.flops.counts import linear_flops, ridge_flops
from graft.merging.composite import manifest
from graft.merging.heads import ridge
from graft.merging.heads.labelled import label_targets
from graft.merging.selection import Point, search
from graft.study import program, runs
from graft.tasks import metrics


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--pooling", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    args.seed = "all"
    grid, paths = program.context(args)
    started = hardware.Stopwatch(hardware.on_cpu(grid.study.launch))
    system = f"probe.{args.pooling}.{args.model}"
    program.check_fingerprint(grid.made(args.task, system, args.seed), args.fingerprint, system)
    hardware.use_threads(grid.study.launch.threads)
    row = grid.row(args.task)
    embedded = paths.embeddings(args.task, args.model)
    embedding = runs.read_made(embedded / "manifest.json", grid.embed(args.task, args.model))
    states = {name: torch.from_numpy(value).double() for name, value in load_states(embedded).items()}
    train, select = states[f"train.{args.pooling}"], states[f"select.{args.pooling}"]
    labels = torch.from_numpy(runs.labels(paths, args.task, "train"))
    goal = label_targets(labels, None if row.labels is None else len(row.labels))
    sizes = grid.study.systems.probe.ridge
    maps = ridge.fit(train, goal, sizes)
    select_labels = runs.labels(paths, args.task, "select")
    choice = search(
        [Point(0.0, size) for size in maps],
        lambda point: metrics.primary(maps[point.ridge](select).numpy(), select_labels, row),
    )
    out = paths.run(args.task, system, args.seed)
    encoder, head = runs.model_folder(grid, paths, args.model), maps[choice.chosen.ridge]
    manifest.write(out / "model", "probe", {"encoder": encoder}, {manifest.HEAD: head}, pooling=args.pooling)
    runs.save_system(
        out,
        args,
        system=system,
        flops={
            **embedding["train_flops_parts"],
            f"{system}/{args.task}/head": ridge_flops(*train.shape, row.outputs, len(sizes))
            + len(sizes) * len(select) * linear_flops(train.shape[1], row.outputs),
        },
        pretraining_flops=runs.pretraining_flops(grid, paths, args.model),
        hyperparameters={"pooling": args.pooling, "ridge": list(sizes)},
        choices=choice.records(row.primary_metric),
        select={"metric": row.primary_metric, "value": choice.score},
        launch=hardware.on_cpu(grid.study.launch),
        started=started,
    )


if __name__ == "__main__":
    program.run(main)
