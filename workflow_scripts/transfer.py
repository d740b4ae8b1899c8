"""Compare systems evaluated on other data sets: transfer.csv."""

from graft.reporting import transfer
from graft.study import program


def main() -> None:
    args = program.parser(__doc__).parse_args()
    transfer.write_transfer(*program.context(args))


if __name__ == "__main__":
    program.run(main)
