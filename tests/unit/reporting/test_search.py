"""The price of the best merge: what was computed for all merges among which `select` chose it."""

import pytest

from graft.reporting import csv_files, formats, search, summary, tables
from graft.reporting.page import answers

THESEUS, INTERPOLATE = (f"merge.{name}.tiny-into-big" for name in ("theseus.labelled", "interpolate"))
BIG = "finetune.big"


@pytest.fixture
def table(grid, paths, write_run):
    """comparison.csv of runs with these values and parts, by system and seed."""

    def made(runs):
        for system, by_seed in runs.items():
            for seed, (value, parts) in by_seed.items():
                write_run(system, seed, value, train_flops=sum(parts.values()), parts=parts)
        tables.write_runs(grid, paths)
        tables.write_comparison(grid, paths)
        return csv_files.read_comparison(paths)

    return made


def tuned(seed):
    return {f"finetune.tiny/rte/seed-{seed}/train": 100, "distil.tiny": 50}


STUDY = {
    BIG: {seed: (0.9, {f"{BIG}/rte/seed-{seed}/train": 1000}) for seed in (0, 1)},
    THESEUS: {seed: (0.8, tuned(seed) | {f"{THESEUS}/rte/seed-{seed}/head": 7}) for seed in (0, 1)},
    INTERPOLATE: {seed: (0.7, tuned(seed) | {f"{INTERPOLATE}/rte/seed-{seed}/select": 3}) for seed in (0, 1)},
}


def told(comparison, grid, paths):
    """The sentences that name the best merge: in the terminal, and on the page."""
    tests = csv_files.read_csv(paths.tables / csv_files.SIGNIFICANCE)
    return summary.in_words(comparison, tests), answers.answers(comparison, tests, grid)[0]


def row_of(table, system):
    return next(row for row in formats.records(table) if row["system"] == system)


def test_the_search_has_the_chosen_merges_metric_and_the_flops_of_all_merges_each_part_once(table):
    found = table(STUDY)
    whole, best = row_of(found, search.SYSTEM), row_of(found, THESEUS)
    assert (best["train_flops"], whole["train_flops"], whole["train_flops_ratio"]) == (157, 160, 0.16)
    same = ("mean", "metric", "n_seeds", "delta_vs_reference", "inference_flops", "parameters")
    assert [whole[name] for name in same] == [best[name] for name in same]
    assert (whole["kind"], whole["label_use"], whole["verdict"], whole["p_value"]) == ("search", "train", None, None)
    assert (best["chosen"], whole["chosen"], best["pareto"], whole["pareto"]) == (True, False, True, False)
    # Behind the merges, before whatever comes next.
    systems = list(found["system"])
    assert systems.index(search.SYSTEM) == max(systems.index(name) for name in (THESEUS, INTERPOLATE)) + 1


def test_shares_of_all_runs_add_up_to_each_part_once(table, paths):
    found = table(STUDY)
    runs = csv_files.read_csv(paths.tables / "runs.csv")
    every = {
        name: flops for by_seed in STUDY.values() for _, parts in by_seed.values() for name, flops in parts.items()
    }
    assert sum(runs["train_flops_shared"].dropna()) == pytest.approx(sum(every.values()))
    # Two runs use a small model, and four what it was distilled with.
    assert row_of(found, THESEUS)["train_flops_shared"] == 7 + 100 / 2 + 50 / 4
    assert row_of(found, search.SYSTEM)["train_flops_shared"] == 10 + 100 + 50 / 2


def test_the_sentences_that_name_the_best_merge_tell_the_price_of_finding_it(table, grid, paths):
    found, price = table(STUDY), "15.7% of its training FLOPs, 16% with the search over 2 merges"
    assert all(price in sentence for sentence in told(found, grid, paths))


def test_a_single_merge_was_not_searched_for(table, grid, paths):
    found = table({name: STUDY[name] for name in (BIG, THESEUS)})
    assert row_of(found, search.SYSTEM)["train_flops"] == row_of(found, THESEUS)["train_flops"]
    assert row_of(found, search.SYSTEM)["pareto"] is True
    assert not any("search over" in sentence for sentence in told(found, grid, paths))


def test_a_task_without_a_finished_merge_has_no_search(table):
    assert search.SYSTEM not in set(table({BIG: STUDY[BIG]})["system"])
