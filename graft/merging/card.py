"""The model card of a merged model, beside its weights."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from graft.io import markdown
from graft.merging.facts import TwoShapes
from graft.registry import published
from graft.registry.published import Origin

PROVENANCE = "graft.json"
CARD = "README.md"
LOADING = "It loads with `AutoModelForSequenceClassification.from_pretrained`."
ALONE = (
    "It stands alone, here and on the hub: with Graft, `graft.load(folder_or_repo)` is a function of a list of texts "
    "that gives labels and scores."
)
UNTRIED = "It was not evaluated when it was made: compare it with"


def page(metadata: Mapping[str, Any], *parts: str) -> str:
    """Render a model card: the hub's metadata, without empty values, then the paragraphs that are not empty."""
    known = {name: value for name, value in metadata.items() if value}
    front = yaml.safe_dump(known, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
    return f"---\n{front}---\n" + "\n\n".join(part for part in parts if part) + "\n"


def parts(text: str) -> tuple[dict[str, Any], str]:
    """Split a model card into the hub's metadata and the text below it."""
    if not text.startswith("---\n") or text.count("---\n") < 2:
        return {}, text
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def warned(origins: Iterable[Origin]) -> str:
    """Warnings that apply to results with these models, as a Markdown quote."""
    return "\n".join(f"> **Not evidence.** {sentence}" for sentence in published.warnings(origins))


def metadata(method: str, origins: Sequence[Origin], **others: Any) -> dict[str, Any]:
    """The hub's metadata of a merge of these models; `others` are further keys."""
    return {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["merge", "graft", method],
        "license": published.common_licence(origins),
        "base_model": (bases := published.repos(origins)),
        "base_model_relation": "merge" if bases else None,
        **others,
    }


def origins_of(sources: Mapping[str, Mapping[str, Any]]) -> list[Origin]:
    """The known origins of the merged models; sources: by role, a folder and the sha256 of its files."""
    return [published.of_folder(Path(source["folder"]), source["sha256"].values()) for source in sources.values()]


def table_of(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of the merged files, with the first digits of their sha256."""
    rows = [
        (role, f"`{Path(source['folder']).name}`", f"`{name}`", f"`{digest[:16]}`")
        for role, source in sources.items()
        for name, digest in source["sha256"].items()
    ]
    return markdown.table(("part", "from", "file", "sha256"), rows)


def text(strength: float | None, options: TwoShapes, head: str | None, sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Render the README.md of a merged model; sources: by role, a folder and the sha256 of its files.

    strength: None for a composite, which has chosen it.
    """
    origins = origins_of(sources)
    listed = ", ".join(f"{name} {value}" for name, value in options.values().items() if name != "strengths")
    return page(
        metadata(options.name, origins, **({"library_name": "graft"} if strength is None else {})),
        f"# A {options.name} merge",
        warned(origins),
        f"A fine-tuned small model was merged into a pre-trained large one by `{options.name}`"
        + (" as a composite that runs parts of both" if strength is None else f" at strength {strength:g}")
        + (f" ({listed})." if listed else ".")
        + (f" Its head is fitted: {head}." if head else "")
        + f" Source of the method: {options.citation}.",
        table_of(sources),
        f"{ALONE if strength is None else LOADING} `{PROVENANCE}` records how it was made. {UNTRIED} the fine-tuned "
        "models and with the head alone before you use it.",
    )
