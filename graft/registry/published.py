"""What is known of published models that studies start from: names on the hub, licences, and what they have seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from graft.io import files


@dataclass(frozen=True)
class Origin:
    """What is known of where a model came from. `seen`: a sentence, where it was trained on data like the tasks."""

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
    """Of a model's source in a config."""
    if source["kind"] == "hub":
        return BY_REPO.get(source["repo"], Origin(source["repo"]))
    return BY_SHA256.get(source.get("sha256") or "", Origin())


def of_folder(folder: Path, sha256: Iterable[str] = ()) -> Origin:
    """Of a model folder whose weights have these sha256: what Graft wrote down when it brought or made it, its weights,
    or its own model card."""
    manifest = folder / _MANIFEST
    if manifest.is_file() and isinstance(source := files.read_json(manifest).get("source"), Mapping):
        # A model made from another one, or like it, which stands beside it.
        parent = source.get("teacher") or source.get("like")
        if not parent:
            return of_source(source)
        origin = of_folder(folder.parent / parent)
        # Weights that were drawn or trained here owe their shape to another model, and nothing else.
        return Origin(None, origin.licence, origin.seen if "teacher" in source else None)
    known = next((BY_SHA256[digest] for digest in sha256 if digest in BY_SHA256), None)
    return known or Origin(licence=_licence(folder / _CARD))


def common_licence(origins: Iterable[Origin]) -> str | None:
    """The licence that all of them have; None where one is not known or they differ."""
    licences = {origin.licence for origin in origins}
    return licences.pop() if len(licences) == 1 else None


def repos(origins: Iterable[Origin]) -> list[str]:
    """Names on the hub, each once."""
    return list(dict.fromkeys(origin.repo for origin in origins if origin.repo))


def warnings(origins: Iterable[Origin]) -> list[str]:
    """What must be said of numbers made with these models."""
    return list(dict.fromkeys(origin.seen for origin in origins if origin.seen))


def _licence(card: Path) -> str | None:
    """The licence in the metadata of a model card, if there is one."""
    parts = card.read_text(errors="replace").split("---\n", 2) if card.is_file() else []
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        found = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return None
    licence = found.get("license") if isinstance(found, Mapping) else None
    return licence if isinstance(licence, str) else None
