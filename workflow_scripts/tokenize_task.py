"""Turn a task's texts into token ids, once per tokenizer."""

from graft.study import program
from graft.tasks.tokens import tokenize_task


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--tokenizer", required=True, help="model whose tokenizer is used")
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    program.check_fingerprint(grid.tokens(args.task, args.tokenizer), args.fingerprint, args.task)
    tokenize_task(
        paths.data(args.task),
        paths.model(args.tokenizer),
        paths.tokens(args.task, args.tokenizer),
        args.fingerprint,
    )


if __name__ == "__main__":
    program.run(main)
