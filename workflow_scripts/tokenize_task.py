"""Turn a task's texts into token ids, once per tokenizer."""

from graft.study import program
from graft.study.steps.tokenize_task import TokenizeTask
from graft.tasks.tokens import tokenize_task


def main() -> None:
    step, grid, paths = program.start(TokenizeTask, __doc__, threads=False)
    tokenize_task(
        paths.data(step.task),
        paths.model(step.tokenizer),
        paths.tokens(step.task, step.tokenizer),
        step.fingerprint(grid),
    )


if __name__ == "__main__":
    program.run(main)
