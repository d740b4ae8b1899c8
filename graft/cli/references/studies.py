"""Tables of archived studies in pages of the docs."""

import functools
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from graft.config.models import Pair
from graft.config.study import load
from graft.io import files, markdown
from graft.reporting import answer, csv_files, documents, formats
from graft.reporting.documents import Section
from graft.reporting.matched import OWN
from graft.reporting.page import contents
from graft.study import archives
from graft.study.paths import Paths

# A page has `<!-- KIND TASK ARCHIVE ... -->`, a table, and `<!-- end -->`; the table is written anew.
_MARKED = re.compile(r"<!-- (\w+) (\S+) ([^>]*) -->\n.*?<!-- end -->", re.DOTALL)
# Headings of the columns of costs that are shown.
_COSTS = ("system", "at real lengths", "parameters", "ms per example", "examples per s", "peak memory")


def tabulated(page: Path, folder: Path) -> str:
    """Render a page again, with the tables that its comments name, from archives in a folder.

    Raises KeyError for a kind of table that there is not, ValueError for an archive that is missing or not whole.
    """
    with tempfile.TemporaryDirectory(prefix="graft-") as unpacked:

        @functools.cache
        def study(name: str) -> Paths:
            paths = Paths(Path(unpacked) / name)
            archives.unpack(folder / f"{name}{archives.ENDING}", paths.root)
            return paths

        def written(marked: re.Match[str]) -> str:
            kind, task, names = marked.groups()
            found = _TABLES[kind](task, *map(study, names.split()))
            return f"<!-- {kind} {task} {names} -->\n{markdown.page(*found)}<!-- end -->"

        return _MARKED.sub(written, page.read_text())


def _answer(task: str, paths: Paths) -> list[str]:
    """Advice for each scenario, in a table and in sentences."""
    answers = csv_files.read_csv(paths.tables / csv_files.ANSWER)
    (found,) = answer.by_task(answers[answers["task"] == task])
    return [_table(found), "\n".join(f"- {note}" for note in found.notes)]


def _merges(task: str, paths: Paths) -> list[str]:
    """Every merge and control against its matched rival, in all scenarios."""
    table = csv_files.read_csv(paths.tables / csv_files.MATCHED)
    return [_table(answer.against(table[table["task"] == task]))]


def _verdicts(task: str, paths: Paths) -> list[str]:
    """How many merges have which verdict against their matched rivals, and what to use, by scenario."""
    table, found = csv_files.read_csv(paths.tables / csv_files.MATCHED), list[list[str]]()
    verdicts = ("better", "equivalent", "inconclusive", "worse")
    table = table[(table["task"] == task) & (table["inference_limit"] == OWN) & table["verdict"].isin(verdicts)]
    for row in formats.records(csv_files.read_csv(paths.tables / csv_files.ANSWER)):
        if row["task"] == task:
            own = table.loc[table["scenario"] == row["scenario"], "verdict"]
            counts = [str(len(own)), *(str((own == name).sum()) for name in verdicts)]
            score = formats.with_interval(row["mean"], row["ci_low"], row["ci_high"], formats.score)
            found.append([f"`{row['scenario']}`", *counts, f"`{row['use']}`", score])
    return [markdown.table(["scenario", "merges", *verdicts, "use", "its metric"], found)]


def _systems(task: str, paths: Paths) -> list[str]:
    """All systems that see all labels, the best first."""
    tables = (csv_files.read_comparison(paths), csv_files.read_csv(paths.tables / csv_files.SIGNIFICANCE))
    ranked = documents.ranked(*tables, load(paths.study).statistics.confidence)
    return [_table(one) for one in ranked if one.heading == task]


def _select(task: str, paths: Paths) -> list[str]:
    """Scores on `select`, over seeds: the most frequent answer, probes, and models fine-tuned on all labels."""
    table = csv_files.read_csv(paths.tables / csv_files.RUNS)
    wanted = (table["task"] == task) & (table["label_use"] == "train") & table["select_value"].notna()
    wanted &= table["kind"].isin(("finetune", "probe", "baseline")) & ~table["system"].str.contains(r"\.few-\d")
    own = table[wanted]
    values = own.astype({"select_value": float}).groupby("system")["select_value"].agg(["mean", "min", "max", "size"])
    rows = [
        [system, *map(formats.score, (row["mean"], row["min"], row["max"])), f"{row['size']:.0f}"]
        for system, row in values.sort_values("mean", ascending=False).iterrows()
    ]
    return [markdown.table(["system", "mean on `select`", "lowest", "highest", "runs"], rows)]


def _costs(task: str, paths: Paths) -> list[str]:
    """The cost of using one system of each architecture."""
    table = csv_files.read_csv(paths.tables / csv_files.COSTS)
    own = table[(table["task"] == task) & table["architecture"].notna()].drop_duplicates("architecture")
    found = contents.costs(own)
    at = [number for number, heading in enumerate(found.columns) if heading in _COSTS]
    rows = [[row[number].text for number in at] for row in found.rows]
    return [markdown.table([found.columns[number] for number in at], rows)]


def _pairs(task: str, *studies: Paths) -> list[str]:
    """Every study's first pair, system by system: means, and differences to the fine-tuned small model."""
    headings, found = ["system"], list[dict[str, str]]()
    for paths in studies:
        pair, table = load(paths.study).pairs[0], csv_files.read_comparison(paths)
        headings.append(f"{pair.large} ← {pair.small}")
        found.append(
            {
                _role(
                    row["system"], pair
                ): f"{formats.score(row['mean'])} ({formats.difference(row['delta_vs_small'])})"
                for row in formats.records(table[table["task"] == task])
            }
        )
    names = dict.fromkeys(name for cells in found for name in cells)
    return [markdown.table(headings, [[name, *(cells.get(name, "") for cells in found)] for name in names])]


def _kept(task: str, *studies: Paths) -> list[str]:
    """How alike the last layers of every study's first pair are, and how much merges of weights keep.

    That is (merge - head) / (small - head), head being the large model under the same head alone, where the small model
    is ahead of it.
    """
    headings, found, alike = [f"labelled head, {task}"], list[dict[str, str]](), list[str]()
    for paths in studies:
        pair, table = load(paths.study).pairs[0], csv_files.read_comparison(paths)
        headings.append(f"{pair.large} ← {pair.small}")
        similarity = min((paths.root / "similarity" / task / f"{pair.small}-into-{pair.large}").glob("*.json"))
        alike.append(f"{files.read_json(similarity)[-1][-1]:.2f}")
        own = formats.records(table[table["task"] == task])
        means = {_role(row["system"], pair): row["mean"] for row in own}
        head, small = means["control.head-only.labelled"], means["finetune.small"]
        merges = [name for name in means if name.startswith("merge.") and name.endswith(".labelled")]
        shares = {name: (means[name] - head) / (small - head) for name in merges} if small > head else {}
        found.append({name: f"{share:.2f}".replace("-", "−") for name, share in shares.items()})
    rows = [[name, *(cells.get(name, "") for cells in found)] for name in dict.fromkeys(n for c in found for n in c)]
    return [markdown.table(headings, [["likeness of the last layers (CKA)", *alike], *rows])]


def _role(system: str, pair: Pair) -> str:
    """A system's name with the roles of a pair's models instead of their names."""
    for between in ("into", "from", "to"):
        system = system.removesuffix(f".{pair.small}-{between}-{pair.large}").removesuffix(f"-into-{pair.large}")
    for role, model in (("large", pair.large), ("small", pair.small)):
        if system.endswith(f".{model}"):
            return f"{system.removesuffix(model)}{role}"
    return system


def _table(section: Section) -> str:
    return markdown.table(section.columns, [[cell.text for cell in row] for row in section.rows])


_TABLES: dict[str, Callable[..., list[str]]] = {
    "answer": _answer,
    "verdicts": _verdicts,
    "merges": _merges,
    "systems": _systems,
    "select": _select,
    "costs": _costs,
    "pairs": _pairs,
    "kept": _kept,
}
