"""Read a task from its source, carve out `select`, and write its splits."""

from graft import program
from graft.tasks.prepare import prepare_task


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    program.check_fingerprint(grid.data(args.task), args.fingerprint, args.task)
    manifest = prepare_task(args.task, grid.study.tasks[args.task], paths.data(args.task), args.fingerprint)
    print(args.task, manifest["rows"], manifest["label_balance"])


if __name__ == "__main__":
    program.run(main)
