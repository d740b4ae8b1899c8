"""A study as its config could be written: with nothing that is a default, or with everything. Imports no torch."""

from typing import Any

from graft.config.models import Like
from graft.config.study import Study
from graft.registry import methods


def shortest(study: Study) -> dict[str, Any]:
    """Return the keys that a config of the study needs; read again, they are the same study."""
    values = study.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    values["seeds"] = _count(values["seeds"])
    for name, model in study.models.items():
        if isinstance(model.source, Like):
            # What it shares with the model that it is like is filled in when it is read.
            like = values["models"][model.source.like].get("finetune", {})
            own = {
                task: row for task, row in values["models"][name].pop("finetune", {}).items() if like.get(task) != row
            }
            values["models"][name] |= {"finetune": own} if own else {}
    for named in _merges(values):
        for name, merge in named.items():
            known = methods.facts(merge.get("method", name)).known()
            checked = methods.checked_options(merge.get("method", name), {k: v for k, v in merge.items() if k in known})
            for key in known.keys() & merge.keys():
                if getattr(checked, key) == known[key].default:
                    del merge[key]
    return values


def whole(study: Study) -> dict[str, Any]:
    """Return every key of the study, the options of its methods included; read again, they are the same study."""
    values = study.model_dump(mode="json", by_alias=True)
    values["seeds"] = _count(values["seeds"])
    for named in _merges(values):
        for name, merge in named.items():
            known = methods.facts(merge["method"] or name).known()
            given = {key: value for key, value in merge.items() if key in known}
            merge |= methods.checked_options(merge["method"] or name, given).values()
    return values


def _merges(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of a config whose entries are methods with options."""
    systems = values.get("systems", {})
    several = ((systems.get(key) or {}).get("methods", {}) for key in ("soup", "multitask"))
    return [systems.get("merge", {}), *several]


def _count(seeds: list[int]) -> int | list[int]:
    return len(seeds) if seeds == list(range(len(seeds))) else seeds
