"""Read a task from its source, carve out `select`, and write its splits; for a transfer, only the report split."""

from graft.study import program
from graft.tasks.prepare import prepare_task
from graft.tasks.transferred import prepare_transfer


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    program.check_fingerprint(grid.data(args.task), args.fingerprint, args.task)
    out = paths.data(args.task)
    if args.task in grid.transfers:
        name, transfer = grid.transfers[args.task]
        manifest = prepare_transfer(name, transfer, grid.row(transfer.task), out, args.fingerprint)
    else:
        manifest = prepare_task(args.task, grid.study.tasks[args.task], out, args.fingerprint)
    print(args.task, manifest["rows"], manifest["label_balance"])


if __name__ == "__main__":
    program.run(main)
