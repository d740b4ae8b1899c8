"""Published models that studies start from: names on the hub, licences, and training data like the tasks'."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from graft.io import files


@dataclass(frozen=True)
class Origin:
    """Where a model came from; `seen`: a sentence to print if it was trained on data like the tasks'."""

    repo: str | None = None
    licence: str | None = None
    seen: str | None = None


_MINILM = Origin(
    "sentence-transformers/all-MiniLM-L6-v2",
    "apache-2.0",
    "all-MiniLM-L6-v2 was trained on NLI and STS-like pairs, so numbers made with it test the software, not the claim.",
)
BY_REPO = {
    "google-bert/bert-base-uncased": Origin("google-bert/bert-base-uncased", "apache-2.0"),
    _MINILM.repo: _MINILM,
}
# By the sha256 of the weights as published.
BY_SHA256 = {"53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": _MINILM}
_MANIFEST, _CARD = "manifest.json", "README.md"


def of_source(source: Mapping[str, Any]) -> Origin:
    """Return the origin of a model from its source in a config."""
    if source["kind"] == "hub":
        return BY_REPO.get(source["repo"], Origin(source["repo"]))
    return BY_SHA256.get(source.get("sha256") or "", Origin())


def of_folder(folder: Path, sha256: Iterable[str] = ()) -> Origin:
    """Return the origin of a model folder: from Graft's manifest, the weights' `sha256`, or the model card."""
    manifest = folder / _MANIFEST
    if manifest.is_file() and isinstance(source := files.read_json(manifest).get("source"), Mapping):
        # The model was made from, or in the shape of, another one in the folder beside it.
        parent = source.get("teacher") or source.get("like")
        if not parent:
            return of_source(source)
        origin = of_folder(folder.parent / parent)
        # Weights drawn or trained here take only their shape from the other model.
        return Origin(None, origin.licence, origin.seen if "teacher" in source else None)
    known = next((BY_SHA256[digest] for digest in sha256 if digest in BY_SHA256), None)
    return known or Origin(_in_cache(folder), _licence(folder / _CARD))


def common_licence(origins: Iterable[Origin]) -> str | None:
    """Return the licence that all origins share; None if they differ or one is unknown."""
    licences = {origin.licence for origin in origins}
    return licences.pop() if len(licences) == 1 else None


def repos(origins: Iterable[Origin]) -> list[str]:
    """List names on the hub, without duplicates."""
    return list(dict.fromkeys(origin.repo for origin in origins if origin.repo))


def warnings(origins: Iterable[Origin]) -> list[str]:
    """List the warnings due on numbers made with these models, without duplicates."""
    return list(dict.fromkeys(origin.seen for origin in origins if origin.seen))


def _in_cache(folder: Path) -> str | None:
    """Return the name of a model that lies in the hub's cache: .../models--OWNER--NAME/snapshots/COMMIT."""
    at = folder.parents[1].name if len(folder.parents) > 1 else ""
    return "/".join(at.split("--")[1:]) if folder.parent.name == "snapshots" and at.startswith("models--") else None


def _licence(card: Path) -> str | None:
    """Return the licence in the metadata of a model card, or None."""
    parts = card.read_text(errors="replace").split("---\n", 2) if card.is_file() else []
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        found = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return None
    licence = found.get("license") if isinstance(found, Mapping) else None
    return licence if isinstance(licence, str) else None
