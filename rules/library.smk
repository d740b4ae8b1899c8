import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Snakemake puts the folder of a local Snakefile on sys.path, but of a repository it reads nothing but Snakefiles.
try:
    from graft.io.workflow import COMMAND, ROOT, importable, packages
except ModuleNotFoundError as error:
    if error.name != "graft":
        raise
    raise WorkflowError(
        "Graft's rules need its library, which this Python does not have: pip install 'graft[workflow]', of the version "
        "of these rules"
    ) from None


def refuse_other_version():
    """Rules may come from a repository, but the library and its programs are those that Python imports."""
    for path in sorted((ROOT / "rules").glob("*.smk")):
        with workflow.sourcecache.open(workflow.current_basedir.join(path.name)) as file:
            if file.read().strip() != path.read_text().strip():
                raise WorkflowError(
                    f"{path.name} of this module is of another version than the library that Python imports, in {ROOT}; "
                    "install the version that the module names, or use this library's own rules: "
                    f"snakefile: '{ROOT}/Snakefile'"
                )


if MODULE:
    refuse_other_version()

# An image for Apptainer, as a file or an address; empty: none.
IMAGE = os.environ.get("GRAFT_IMAGE")
