"""Gather the run.json of every run into runs.csv."""

from graft.reporting import tables
from graft.study import program


def main() -> None:
    args = program.parser(__doc__).parse_args()
    tables.write_runs(*program.context(args))


if __name__ == "__main__":
    program.run(main)
