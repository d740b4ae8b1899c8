"""The table of merge methods for models of one shape, for commands and plans. Imports no numpy and no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from graft.io.names import meant
from graft.registry.merge_methods import Option, checked_values


@dataclass(frozen=True)
class Facts:
    """Properties of a merge method.

    strength: the published default of the factor that a change is multiplied by.
    base: whether a base model is required; if not, only strengths other than the default require one.
    weighted: whether models may have weights. models: the fewest and the most that it takes (None: no limit).
    statistics: the file that it reads for each model, or "".
    implementation: "module:name", imported only when used.
    """

    name: str
    citation: str
    implementation: str
    strength: float = 1.0
    base: bool = True
    weighted: bool = True
    models: tuple[int, int | None] = (1, None)
    statistics: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)


FISHER, GRAM = "fisher.safetensors", "gram.safetensors"
SEED = Option("seed", 0, "of the random masks, which depend on it and on the tensor's name alone")
DARE = "Yu et al. 2023, Language Models are Super Mario, arXiv 2311.03099"
DELLA = "Deep et al. 2024, DELLA-Merging, arXiv 2406.11617"
SOUPS = "Wortsman et al. 2022, Model soups, arXiv 2203.05482"


def _family(name: str, citation: str, strength: float, **options: Option) -> Facts:
    return Facts(
        name, citation, "graft.merging.homogeneous.arithmetic:TaskArithmetic", strength=strength, options=options
    )


def _density(default: float) -> Option:
    return Option("share", default, "share of each change that is kept")


# The default of DELLA's window follows the authors' code, 0.05 to either side.
WINDOW = Option("size", 0.1, "width of the range of probabilities, from a row's smallest change to its largest")

_ALL = (
    Facts("uniform", SOUPS, "graft.merging.homogeneous.averages:Average", base=False, weighted=False),
    Facts("linear", SOUPS, "graft.merging.homogeneous.averages:Average", base=False),
    Facts(
        "slerp",
        "Shoemake 1985, Animating rotation with quaternion curves, SIGGRAPH",
        "graft.merging.homogeneous.slerp:Slerp",
        strength=0.5,
        base=False,
        weighted=False,
        models=(1, 2),
    ),
    Facts(
        "model_stock",
        "Jang et al. 2024, Model Stock, arXiv 2403.19522",
        "graft.merging.homogeneous.model_stock:ModelStock",
        weighted=False,
        models=(2, None),
    ),
    # 0.3: the paper's best for eight tasks, and its advice if no strength can be tried.
    _family("task_arithmetic", "Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089", 0.3),
    # 20% and 1: the paper's settings without validation data.
    _family(
        "ties",
        "Yadav et al. 2023, TIES-Merging, arXiv 2306.01708",
        1.0,
        density=_density(0.2),
        scope=Option(
            "choice", "model", "largest of the whole model (the paper) or of each tensor", ("model", "tensor")
        ),
    ),
    # The paper tries p from 0.1 to 0.9; merged as in task arithmetic, or as in TIES with dropping in place of trimming.
    _family("dare_linear", DARE, 0.3, density=_density(0.5), seed=SEED),
    _family("dare_ties", DARE, 1.0, density=_density(0.5), seed=SEED),
    # The start of the authors' own search (their code): alpha 0.2, beta 0.15, gamma 0.006.
    _family(
        "breadcrumbs",
        "Davari & Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795",
        0.2,
        density=_density(0.15),
        outliers=Option("size", 0.006, "share of each change, the largest, that is dropped"),
    ),
    _family("della_linear", DELLA, 0.3, density=_density(0.5), epsilon=WINDOW, seed=SEED),
    _family("della", DELLA, 1.0, density=_density(0.5), epsilon=WINDOW, seed=SEED),
    Facts(
        "fisher",
        "Matena & Raffel 2021, Merging Models with Fisher-Weighted Averaging, arXiv 2111.09832",
        "graft.merging.homogeneous.fisher:Fisher",
        base=False,
        statistics=FISHER,
        options={
            "floor": Option("size", 1e-6, "smallest value of a Fisher diagonal"),
            "normalise": Option("boolean", True, "divide each model's Fisher diagonal by its norm"),
        },
    ),
    Facts(
        "regmean",
        "Jin et al. 2022, Dataless Knowledge Fusion by Merging Weights of Language Models, arXiv 2212.09849",
        "graft.merging.homogeneous.regmean:RegMean",
        base=False,
        statistics=GRAM,
        options={"off_diagonal": Option("size", 0.9, "factor of a Gram matrix off its diagonal (T5-base: 0.1)")},
    ),
    Facts(
        "iso_c",
        "Marczak et al. 2025, No Task Left Behind: Isotropic Model Merging, arXiv 2502.04959",
        "graft.merging.homogeneous.iso_c:IsoC",
    ),
    Facts(
        "tsv",
        "Gargiulo et al. 2024, Task Singular Vectors, arXiv 2412.00081",
        "graft.merging.homogeneous.tsv:TaskSingularVectors",
    ),
)
METHODS: Mapping[str, Facts] = MappingProxyType({facts.name: facts for facts in _ALL})
# The uniform soup of a subset of the models. Only a study has the scores to choose it by.
GREEDY = Facts("greedy", SOUPS, "graft.merging.homogeneous.averages:greedy", base=False, weighted=False)


def facts(name: str) -> Facts:
    """Return the method called `name`; raises ValueError with the known names."""
    if name not in METHODS:
        known = ", ".join(METHODS) + meant(name, METHODS)
        raise ValueError(f"no method for models of one shape is called {name!r}; available: {known}")
    return METHODS[name]


def of_study(name: str) -> Facts:
    """Return the method called `name` of a study, which may also be the greedy soup."""
    return GREEDY if name == GREEDY.name else facts(name)


def implementation(name: str) -> Any:
    """Import and return the class that implements the method called `name`."""
    module, attribute = facts(name).implementation.split(":")
    return getattr(importlib.import_module(module), attribute)


def checked_options(name: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return all options of the method called `name`: the given values, and defaults for the rest.

    Raises ValueError for an unknown option or a wrong value, in one sentence.
    """
    checked = checked_values(f"method {name!r}", of_study(name).options, given)
    density, margin = checked.get("density", 1.0), checked.get("epsilon", 0.0) / 2
    if density < 1 and not 0 < density - margin <= density + margin <= 1:
        raise ValueError(f"method {name!r}: density {density} and epsilon {2 * margin} leave probabilities of 0 to 1")
    if (dropped := checked.get("outliers", 0.0)) + density > 1 and density < 1 or dropped >= 1:
        raise ValueError(f"method {name!r}: outliers {dropped} and density {density} are more than 1 together")
    if checked.get("off_diagonal", 0.0) > 1:
        raise ValueError(f"method {name!r}: off_diagonal {checked['off_diagonal']} must be 1 at most")
    return checked
