"""Make a system's model again, and before it whatever it needs that is not here."""

from graft.compute import hardware
from graft.study import keeping, program, working
from graft.study.steps import graph
from graft.study.steps.making import making


def main() -> None:
    arguments = program.parser(__doc__)
    for name in ("task", "system", "seed"):
        arguments.add_argument(f"--{name}", required=True)
    args = arguments.parse_args()
    grid, paths = program.context(args)
    hardware.use_threads(grid.study.launch.threads)
    step = making(grid, args.task, args.system, int(args.seed) if args.seed.isdecimal() else args.seed)
    working.provide(step, grid, paths, program.make, model=True)
    # What was made only to make it goes again.
    own = keeping.with_parts(grid, [step])
    for other in graph.with_inputs(grid, [step]):
        keeping.release_states(grid, paths, other) if other in own else keeping.release(grid, paths, other)


if __name__ == "__main__":
    program.run(main)
