"""Compare the systems that were evaluated on other data sets: transfer.csv."""

from graft import program
from graft.reporting import transfer


def main() -> None:
    args = program.parser(__doc__).parse_args()
    transfer.write_transfer(*program.context(args))


if __name__ == "__main__":
    program.run(main)
