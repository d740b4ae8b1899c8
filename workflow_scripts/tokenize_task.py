"""Turn a task's texts into token ids, once per tokenizer."""

from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.tokenize_task import TokenizeTask
from graft.tasks.tokens import tokenize_task


def make(step: TokenizeTask, grid: Grid, paths: Paths) -> None:
    tokenize_task(
        paths.data(step.task),
        paths.model(step.tokenizer),
        paths.tokens(step.task, step.tokenizer),
        step.fingerprint(grid),
    )


if __name__ == "__main__":
    program.run_step(TokenizeTask, __doc__, threads=False)
