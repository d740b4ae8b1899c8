"""Compare all systems: comparison.csv and comparison.md."""

from graft.reporting import tables
from graft.study import program


def main() -> None:
    args = program.parser(__doc__).parse_args()
    tables.write_comparison(*program.context(args))


if __name__ == "__main__":
    program.run(main)
