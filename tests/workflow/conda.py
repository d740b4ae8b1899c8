"""A conda for tests: it answers what snakemake asks, and its environments hold this Python, which leaves a mark."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

# Name of the environment, PYTHONNOUSERSITE, module: one line for each program that an environment's Python ran.
PYTHON = """#!/bin/sh
echo "{name} ${{PYTHONNOUSERSITE:-0}} $2" >> '{marks}'
[ "$2" = pip ] && exit 0
exec '{python}' "$@"
"""
CONDA = """#!/bin/sh
case "$1 $2" in
    "info --json") echo '{{"conda_prefix": "{root}", "platform": "linux-64"}}' ;;
    "--version ") echo 'conda 26.9.0' ;;
    "config --get") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    "clean -y") ;;
    "env create")
        while [ "$#" -gt 1 ]; do
            case "$1" in --file) file=$2 ;; --prefix) prefix=$2 ;; esac
            shift
        done
        name=$(sed -n 's/^name: graft-//p' "$file")
        echo "$name" >> '{root}/created'
        mkdir "$prefix" && sleep {seconds} && mkdir "$prefix/bin"
        sed "s/NAME/$name/" '{root}/python' > "$prefix/bin/python"
        chmod +x "$prefix/bin/python" ;;
    *) echo "conda $*: not known here" >&2; exit 1 ;;
esac
"""
ACTIVATE = """
if [ -x "$1/bin/python" ] && [ ! -e '{root}/broken' ]; then
    export CONDA_PREFIX=$1 PATH=$1/bin:$PATH
else
    echo "EnvironmentLocationNotFound: Not a conda environment: $1" >&2
fi
"""


@dataclass(frozen=True)
class Conda:
    root: Path

    @classmethod
    def at(cls, root: Path, seconds: float = 0) -> "Conda":
        """In the empty folder `root`; creating an environment takes it `seconds`."""
        marks = root / "marks"
        binaries = root / "bin"
        binaries.mkdir(parents=True)
        marks.touch()
        (root / "created").touch()
        (root / "python").write_text(PYTHON.format(name="NAME", marks=marks, python=sys.executable))
        (binaries / "conda").write_text(CONDA.format(root=root, seconds=seconds))
        (binaries / "conda").chmod(0o755)
        (binaries / "activate").write_text(ACTIVATE.format(root=root))
        return cls(root)

    def path(self, rest: str | None = None) -> str:
        """A PATH that has it."""
        return f"{self.root / 'bin'}{os.pathsep}{rest or os.environ['PATH']}"

    def break_activation(self) -> None:
        (self.root / "broken").touch()

    def created(self) -> list[str]:
        """Names of the environments, one for each time that one was begun."""
        return (self.root / "created").read_text().split()

    def ran(self) -> list[tuple[str, str, str]]:
        """The calls of its environments' Pythons: environment, PYTHONNOUSERSITE, module."""
        return [tuple(line.split()) for line in (self.root / "marks").read_text().splitlines()]
