"""Make an untrained small model: the shape and tokenizer of another one, weights drawn from a seed."""

from graft.compute import hardware
from graft.study import program, runs
from graft.training.initial import initialise_model
from graft.training.saving import write_manifest


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    started = hardware.Stopwatch(hardware.on_cpu(grid.study.launch))
    program.check_fingerprint(grid.model(args.model), args.fingerprint, args.model)
    launch = hardware.on_cpu(grid.study.launch)
    hardware.use_threads(launch.threads)
    source = grid.study.models[args.model].source
    out = initialise_model(runs.model_folder(grid, paths, source.like), paths.model(args.model), source.seed)
    write_manifest(out, args.fingerprint, source, launch, started, pretraining_flops=0)


if __name__ == "__main__":
    program.run(main)
