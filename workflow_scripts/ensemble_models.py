"""Ensemble fine-tuned models of different seeds by the mean of their logits."""

from graft.compute import hardware
from graft.encoders.inference import pass_flops, run
from graft.flops.counts import classifier_flops
from graft.merging.composite import manifest
from graft.merging.loading import load
from graft.registry.shapes import Shape
from graft.study import program, runs
from graft.tasks import metrics


def main() -> None:
    args, grid, paths = program.of_system(__doc__)
    started = hardware.Stopwatch(grid.study.launch)
    system, row = grid.systems[args.system], grid.row(args.task)
    flops, members = {}, {}
    for name, seed in grid.built_on(args.task, system, args.seed):
        folder = paths.run(args.task, name, seed)
        flops |= runs.read_made(folder / "build.json", grid.made(args.task, name, seed))["train_flops_parts"]
        members[f"seed-{seed}"] = folder / "model"
    out = paths.run(args.task, args.system, args.seed)
    manifest.write(out / "model", "ensemble", members)
    tokens = runs.tokens(grid, paths, args.task, system.model, "select")
    max_tokens, device = grid.max_tokens(args.task, system.model), hardware.device_of(grid.study.launch)
    logits = run(load(out / "model").to(device).logits, tokens, max_tokens, device=device)
    shape = Shape.of(runs.model_folder(grid, paths, system.model))
    on_select = pass_flops(lambda t: classifier_flops(shape, t, row.outputs), tokens, max_tokens)
    flops[f"{args.system}/{args.task}/seed-{args.seed}/select"] = len(members) * on_select
    score = metrics.primary(logits, runs.labels(paths, args.task, "select"), row)
    runs.save_system(
        out,
        args,
        system=args.system,
        flops=flops,
        pretraining_flops=runs.pretraining_flops(grid, paths, system.model),
        hyperparameters={"members": list(members)},
        choices=[],
        select={"metric": row.primary_metric, "value": score},
        launch=grid.study.launch,
        started=started,
    )


if __name__ == "__main__":
    program.run(main)
