"""Draw the metric against training FLOPs: svg, png and csv."""

from graft import program
from graft.reporting import tables


def main() -> None:
    args = program.parser(__doc__).parse_args()
    tables.write_figure(program.context(args)[1])


if __name__ == "__main__":
    program.run(main)
