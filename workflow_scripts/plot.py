"""Draw all figures that there is data for, as svg, png and pdf, with their data as csv."""

from graft.reporting import tables
from graft.study import program


def main() -> None:
    args = program.parser(__doc__).parse_args()
    tables.write_figures(*program.context(args))


if __name__ == "__main__":
    program.run(main)
