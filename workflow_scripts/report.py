"""Write the report: answer, tables, figures, methods and provenance on one page."""

from graft.reporting import tables
from graft.study import program


def main() -> None:
    args = program.parser(__doc__).parse_args()
    tables.write_report(*program.context(args))


if __name__ == "__main__":
    program.run(main)
