"""Find a model by what users call it: a folder here, or a name on the Hugging Face hub."""

import os
import re
from pathlib import Path

HUB = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
# What a model consists of, weights in safetensors; pickled ones are fetched only if there are no others.
_FILES, _PICKLED = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md"), ("*.bin",)


def local(given: str | Path, where: str = "") -> Path:
    """Return a folder as it is, and the local copy of `owner/repo` or `owner/repo@revision`, fetched if need be.

    A name whose first part is a folder here is a path. Raises ValueError, which begins with `where`, if
    the hub does not give the model.
    """
    folder = Path(os.path.expanduser(given))
    named = HUB.fullmatch(str(given))
    if folder.exists() or named is None or folder.parent.exists():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    repo, revision = named.groups()
    said = f"{where}: {given}" if where else str(given)
    try:
        found = Path(snapshot_download(repo, revision=revision, allow_patterns=list(_FILES)))
        if not any(found.rglob("*.safetensors")):
            snapshot_download(repo, revision=revision, allow_patterns=list(_PICKLED))
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{said} is not a folder, and the hub does not give it: {reason}") from None
    return found
