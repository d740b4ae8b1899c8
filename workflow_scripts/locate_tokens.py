"""Find where in a task's texts the tokens are, for pairs of two vocabularies."""

from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.locate_tokens import LocateTokens
from graft.tasks.tokens import locate_tokens


def make(step: LocateTokens, grid: Grid, paths: Paths) -> None:
    tokenizer, out = paths.model(step.tokenizer), step.output(paths).parent
    locate_tokens(paths.data(step.task), tokenizer, out, step.fingerprint(grid))


if __name__ == "__main__":
    program.run_step(LocateTokens, __doc__, threads=False)
