"""Find the workflow's files: Snakefile, rules, programs, environments, profiles and configs. Imports no torch."""

import sys
from pathlib import Path

_LIBRARY = Path(__file__).resolve().parents[1]
_INSTALLED = _LIBRARY / "_workflow"
ROOT = _INSTALLED if _INSTALLED.is_dir() else _LIBRARY.parent
"""The clone, or where an installed package keeps what is at the top of the clone (pyproject.toml)."""
COMMAND = "graft" if Path(sys.executable).with_name("graft").exists() else "python -m graft"
"""How the command line is called here: a clone whose Python has no script of it calls the module."""


def packages() -> tuple[Path, Path]:
    """Return the folders of the library and of the programs."""
    return _LIBRARY, ROOT / "workflow_scripts"


def importable(links: Path) -> Path:
    """Return a folder for PYTHONPATH from which any Python imports Graft and its programs, and no other package.

    The clone is one. Beside an installed package are all others of its Python, so links to the two are made in `links`.
    """
    if ROOT != _INSTALLED:
        return ROOT
    links.mkdir(parents=True, exist_ok=True)
    for package in packages():
        link = links / package.name
        if not link.is_symlink() or link.readlink() != package:
            link.unlink(missing_ok=True)
            link.symlink_to(package)
    return links.absolute()
