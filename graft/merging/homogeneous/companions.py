"""The files that accompany merged weights: the tokenizer, generation settings, and sentence-transformers modules.

Files of any of the merged folders are kept; if folders disagree, the merge is refused.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from graft.io import files
from graft.io.model_folders import read_keys

TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt"),
    *("vocab.json", "merges.txt", "spm.model", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
    "chat_template.jinja",
)
# A folder with any of these has a tokenizer.
READERS: tuple[str, ...] = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model")
READERS += ("sentencepiece.bpe.model", "tokenizer.model")
GENERATION = "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
# Keys of tokenizer_config.json that decide how texts are truncated and padded.
LIMITS = ("model_max_length", "padding_side", "truncation_side")
MODULES = "modules.json"
# Other settings files of sentence-transformers, besides its list of modules.
SETTINGS = ("sentence_bert_config.json", "config_sentence_transformers.json")
# Keys that record how a file was written and have no effect.
NOTES = ("__version__", "transformers_version", "_from_model_config", "_commit_hash")
# Pooling modes of sentence-transformers 5 whose boolean keys in older versions have another suffix.
_POOLING = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "weightedmean": "weightedmean_tokens"}


@dataclass(frozen=True)
class Companions:
    """Files of a merged folder beside weights and config: copied from a path, or written as JSON."""

    copied: Mapping[str, Path]
    written: Mapping[str, Any]

    @property
    def embeds(self) -> bool:
        """Whether the merged folder holds a sentence-transformers model."""
        return MODULES in self.written

    def put(self, target: Path) -> None:
        """Write these files into a folder."""
        for name, source in self.copied.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            files.copy_into(source.parent, (target / name).parent, [source.name])
        for name, value in self.written.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            files.write_json(target / name, value)


def of(base: Path | None, tuned: Sequence[Path], new_head: bool) -> Companions:
    """Collect the files that accompany a merge of folders; their order does not matter.

    new_head: whether the models have a head that the base lacks; the base's modules are then ignored.
    Raises ValueError, in one sentence, if settings differ or modules with their own weights do.
    """
    copied, written = _tokenizer(base, tuned), {}
    if (generation := _united(GENERATION, tuned) or _united(GENERATION, [base] if base else [])) is not None:
        written[GENERATION] = generation
    parts = [*([base] if base and not new_head else []), *tuned]
    embedding = [folder for folder in parts if (folder / MODULES).is_file()]
    if embedding:
        more, said = _modules(embedding)
        copied |= more
        written |= said
        for name in SETTINGS:
            if (settings := _united(name, embedding)) is not None:
                written[name] = settings
    return Companions(copied, written)


def reading(folders: Sequence[Path]) -> list[Path]:
    """The folders that have a tokenizer."""
    return [folder for folder in folders if any((folder / name).is_file() for name in READERS)]


def _tokenizer(base: Path | None, tuned: Sequence[Path]) -> dict[str, Path]:
    """The tokenizer files of one folder, with the fine-tuned models' truncation and padding if any folder has these.

    Then folders with a fast tokenizer and with its settings come first, then the base, the most files, and the first by
    content. Raises ValueError if the fine-tuned models disagree on truncation or padding.
    """
    found = reading([*([base] if base else []), *tuned])
    if not found:
        return {}
    wanted: dict[str, tuple[Any, Path]] = {}
    for folder in reading(tuned):
        for key, value in _limits(folder).items():
            said, where = wanted.setdefault(key, (value, folder))
            if said != value:
                difference = f"{key} is {json.dumps(value)}, in {where / TOKENIZER_CONFIG} {json.dumps(said)}"
                raise ValueError(f"{folder / TOKENIZER_CONFIG}: {difference}; must be the same in all")

    def place(folder: Path) -> tuple[Any, ...]:
        have, limits = [name for name in TOKENIZER if (folder / name).is_file()], _limits(folder)
        differs = any(limits.get(key) != value for key, (value, _) in wanted.items())
        lacks = ["tokenizer.json" not in have, TOKENIZER_CONFIG not in have]
        contents = [(name, files.sha256(folder / name)) for name in have]
        return differs, *lacks, folder != base, -len(have), contents

    chosen = min(found, key=place)
    return {name: chosen / name for name in TOKENIZER if (chosen / name).is_file()}


def _limits(folder: Path) -> dict[str, Any]:
    """The truncation and padding settings that a folder's tokenizer config states."""
    said = read_keys(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).is_file() else {}
    # transformers writes a number above 1e18 for "no limit".
    return {
        key: said[key]
        for key in LIMITS
        if key in said and not (isinstance(said[key], (int, float)) and said[key] > 1e18)
    }


def _united(name: str, folders: Sequence[Path]) -> dict[str, Any] | None:
    """Merge the settings that folders have in a JSON file; None if no folder has it, ValueError if values differ."""
    found: dict[str, tuple[Any, Path]] = {}
    have = [folder for folder in folders if (folder / name).is_file()]
    for folder in have:
        for key, value in read_keys(folder / name).items():
            if key in NOTES:
                # Any value will do; the largest as text does not depend on the order of the folders.
                found[key] = max((value, folder), found.get(key, (value, folder)), key=lambda one: json.dumps(one[0]))
            elif value in (None, {}, []):
                found.setdefault(key, (value, folder))
            elif key not in found or found[key][0] in (None, {}, []):
                found[key] = value, folder
            elif found[key][0] != value:
                difference = f"{key} is {json.dumps(value)}, in {found[key][1] / name} {json.dumps(found[key][0])}"
                raise ValueError(f"{folder / name}: {difference}; must be the same in all")
    return {key: found[key][0] for key in sorted(found)} if have else None


def _modules(folders: Sequence[Path]) -> tuple[dict[str, Path], dict[str, Any]]:
    """Files to copy and JSON to write for the modules of sentence-transformers folders, which must be the same."""
    lists = {folder: _list(folder) for folder in folders}
    first = folders[0]
    for folder, modules in lists.items():
        ours, theirs = ([(_kind(one), one["path"]) for one in lists[place]] for place in (folder, first))
        if ours != theirs:
            shown = (" > ".join(f"{kind} {path}".strip() for kind, path in modules) for modules in (ours, theirs))
            raise ValueError(f"{folder / MODULES}: its modules are {next(shown)}, those of {first} {next(shown)}")
    copied: dict[str, Path] = {}
    written: dict[str, Any] = {MODULES: min(lists.values(), key=json.dumps)}
    for module in lists[first]:
        for name in sorted({name for folder in folders for name in _files(folder, module["path"])}):
            if name.endswith(".json"):
                have = [folder for folder in folders if (folder / name).is_file()]
                _check_settings(have, name)
                written[name] = min((read_keys(folder / name) for folder in have), key=json.dumps)
            elif other := next((folder for folder in folders if not _equal(first / name, folder / name)), None):
                raise ValueError(
                    f"{other / module['path']}: {_kind(module)} has its own weights, which differ from those "
                    f"of {first} and are not merged; give all models one"
                )
            else:
                copied[name] = first / name
    return copied, written


def _equal(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and files.sha256(one) == files.sha256(other)


def _list(folder: Path) -> list[dict[str, Any]]:
    """A folder's modules in order; raises ValueError for an invalid list, a path outside the folder or custom code."""
    try:
        modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        modules = sorted(modules if isinstance(modules, list) else [None], key=lambda one: one["idx"])
        paths = [PurePosixPath(module["path"]) for module in modules]
        kinds = [str(module["type"]) for module in modules]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{folder / MODULES}: not a list of modules of sentence-transformers") from None
    for module, path, kind in zip(modules, paths, kinds, strict=True):
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{folder / MODULES}: path {module['path']!r} must be a folder in this one")
        if not kind.startswith("sentence_transformers."):
            raise ValueError(f"{folder / MODULES}: {kind} is custom code; modules must be of sentence-transformers")
    return modules


def _kind(module: Mapping[str, Any]) -> str:
    """A module's class name, which is the same in all versions of sentence-transformers."""
    return str(module["type"]).rsplit(".", 1)[-1]


def _files(folder: Path, path: str) -> Iterator[str]:
    """A module's files; none for the encoder in the folder's root, whose files are the model's own."""
    if path not in ("", "."):
        place = folder / path
        yield from (str(file.relative_to(folder)) for file in sorted(place.rglob("*")) if file.is_file())


def _check_settings(folders: Sequence[Path], name: str) -> None:
    settings = [_settings(read_keys(folder / name)) for folder in folders]
    for folder, theirs in zip(folders, settings, strict=True):
        ours = settings[0]
        for key in sorted({*ours, *theirs}):
            if ours.get(key) != theirs.get(key):
                values = json.dumps(theirs.get(key)), json.dumps(ours.get(key))
                raise ValueError(
                    f"{folder / name}: {key} is {values[0]}, in {folders[0] / name} {values[1]}; must be the same"
                )


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """A module's settings in normal form, without notes and values that are off."""
    found = {key: value for key, value in given.items() if key not in NOTES}
    modes = found.pop("pooling_mode", None) or []
    for mode in [modes] if isinstance(modes, str) else modes:
        found[f"pooling_mode_{_POOLING.get(mode, mode)}"] = True
    if "embedding_dimension" in found:
        found["word_embedding_dimension"] = found.pop("embedding_dimension")
    if any(key.startswith("pooling_mode") for key in found):
        found.setdefault("include_prompt", True)
    return {key: value for key, value in found.items() if value not in (None, False, {}, [])}
