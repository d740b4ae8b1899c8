"""Sets of systems that a study can begin with, by `systems: {standard: first}` or `{standard: full}`.

`full` is what config.yaml has. It is not read from there: users edit that file, and other studies stay as they are.
"""

from collections.abc import Mapping
from typing import Any

_OF = ["theseus", "spacewise", "functional"]
FULL: Mapping[str, Any] = {
    "majority": {},
    "probe": {},
    "lora": {},
    "distil": {},
    "weak-to-strong": {},
    "budget": {},
    "few-labels": {"rows": [32, 128, 512], "of": ["functional", "theseus", "logit_ensemble"], "heads": ["labelled"]},
    "label-free": {"of": ["functional", "theseus"], "heads": ["label-free"]},
    "ensemble": {},
    "soup": {"methods": {"uniform": {}, "greedy": {}, "ties": {}, "model_stock": {}}},
    "multitask": {
        "methods": {
            "task_arithmetic": {"strengths": [0.2, 0.3, 0.4, 0.6, 0.8, 1.0]},
            "ties": {"strengths": [0.6, 0.8, 1.0, 1.2, 1.5]},
            "tsv": {},
        }
    },
    "joint": {},
    "merge": {
        "logit_ensemble": {},
        "proxy_tuning": {},
        "concat_probe": {},
        "concat-pretrained": {"method": "concat_probe", "small": "pretrained"},
        "stitch": {},
        "side_tuning": {},
        "ladder": {},
        "calm": {},
        "interpolate": {},
        "theseus": {"strengths": [0, 0.5, 1, 2, 4, 6]},
        "spacewise": {"map_ridge": 0.1, "depth": "spread"},
        "fit-dense": {"method": "spacewise", "residual": "fit_dense", "heads": ["labelled"], "map_ridge": 0.1},
        "functional": {"heads": ["labelled"], "map_ridge": 0.03, "fit_ridge": 1.0},
        "ot_fusion": {"heads": ["labelled"], "strengths": [0, 0.1, 0.25, 0.5, 1]},
        "grow": {"heads": ["labelled"], "strengths": [0, 0.25, 0.5, 0.75, 1]},
    },
    "control": {
        "head-only": {},
        "shuffled": {"of": _OF, "heads": ["labelled"]},
        "random": {"of": _OF, "heads": ["labelled"]},
        "wrong-task": {"of": ["functional"]},
        "other-small": {"models": ["untrained", "undistilled"], "of": ["functional"], "heads": ["labelled"]},
    },
    "oracle": {"of": ["functional", "theseus"]},
}
# For a first answer: the strongest merges of docs/results.md, the cheap rivals that they must beat, and a control that
# must lose. No model is needed beside the pair's own, and all that is made is part of the full set.
FIRST: Mapping[str, Any] = {
    "majority": {},
    "probe": {"pooling": ["mean", "layers"]},
    "budget": {"fractions": ["1/8", "1/4"], "starts": ["new"]},
    "merge": {name: FULL["merge"][name] for name in ("logit_ensemble", "stitch", "functional")},
    "control": {
        "head-only": {"heads": ["labelled"]},
        "shuffled": {"of": ["functional"], "heads": ["labelled"], "strength": ["chosen"]},
    },
}
SETS = {"first": FIRST, "full": FULL}


def changed(standard: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the standard systems with the given keys in their places, at any depth; null leaves one out."""
    found = dict(standard)
    for key, value in given.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            found[key] = changed(found[key], value)
        else:
            found[key] = value
    return found
