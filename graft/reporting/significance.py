"""Every difference with its intervals, p values and verdict: significance.csv."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from graft.reporting.differences import Compared
from graft.statistics.crossed import Crossed, Difference
from graft.statistics.planning import Needed, needed

COLUMNS = (
    *("task", "system", "versus", "other", "n_seeds", "n_examples", "difference", "seed_sd", "example_sd"),
    *("these_low", "these_high", "new_low", "new_high", "margin", "inner_low", "inner_high"),
    *("p_value", "p_holm", "verdict", "seeds_needed", "examples_needed"),
    *("p_improvement", "p_improvement_low", "p_improvement_high", "aso_epsilon"),
)


def significance(rows: list[Compared], tasks: Mapping[str, Crossed]) -> pd.DataFrame:
    """One row with COLUMNS per task, system and comparison.

    `versus`: reference, small or head_only; of a control or baseline also `merge`, one that must beat it. `difference`:
    of typical runs (see `typical`), as are its intervals, p value and verdict; `seed_sd`: of all runs. `these_*`:
    interval for new seeds on these examples; `new_*`: for new seeds and new examples, as in comparison.csv;
    `inner_*`: the same at the confidence that equivalence within `margin` requires. `p_value` is not corrected; p_holm
    and verdict are for the reference only, as in comparison.csv. `seeds_needed`, `examples_needed`: see `needed_for`;
    `p_improvement*`, `aso_epsilon`: see `orders.Order`.
    """
    found: list[dict[str, Any]] = []
    for row in rows:
        against = [(versus, *pair) for versus, pair in row.others.items()]
        against += [("merge", *pair) for pair in row.rivals.items()]
        for versus, other, difference in against:
            if difference is None or other == row.system.name:
                continue
            own: dict[str, Any] = {"task": row.task, "system": row.system.name, "versus": versus, "other": other}
            own |= described(difference, row.margin, tasks[row.task])
            if versus == "reference":
                own |= {"p_holm": row.p_holm, "verdict": row.verdict}
            order = tasks[row.task].of_order(row.system.name, other)
            found.append(own | (dict(zip(COLUMNS[-4:], order, strict=True)) if order else {}))
    table = pd.DataFrame(found, columns=list(COLUMNS), dtype=object)
    return table.where(table.notna(), None)


def described(difference: Difference, margin: float | None, task: Crossed) -> dict[str, Any]:
    """Describe a difference on a task, by column."""
    found: dict[str, Any] = {"n_seeds": difference.n_seeds, "n_examples": len(task.labels)}
    found |= {"difference": difference.typical, "seed_sd": difference.sd, "margin": margin}
    found |= {"example_sd": difference.example_variance**0.5, "p_value": difference.p_value}
    for name in ("these", "new", "inner"):
        found[f"{name}_low"], found[f"{name}_high"] = getattr(difference, name) or (None, None)
    more = needed_for(difference, margin, task)
    return found | ({"seeds_needed": more.seeds, "examples_needed": more.examples} if more else {})


def needed_for(difference: Difference | None, margin: float | None, task: Crossed) -> Needed | None:
    """Seeds and examples needed to tell a true difference of the margin from none in four out of five studies.

    None without a margin, or with one run only, which does not show how much seeds differ.
    """
    if margin is None or difference is None or difference.sd is None:
        return None
    return needed(difference, len(task.labels), margin, task.confidence)
