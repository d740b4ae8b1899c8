"""Merges against the best classical systems that cost no more, on runs with given values, scores and parts."""

import pytest

from graft.registry.scenarios import scenarios
from graft.reporting import formats
from graft.reporting.matched import COLUMNS, Priced, best_of, matched, priced
from graft.study.grid import Grid
from graft.study.grid_systems import System

SCENARIOS = scenarios([None])
BIG, TINY, PROBE = "finetune.big", "finetune.tiny", "probe.cls.big"
THESEUS, INTERPOLATE = (f"merge.{name}.tiny-into-big" for name in ("theseus.labelled", "interpolate"))
SHUFFLED = "control.shuffled.theseus.labelled.tiny-into-big"
SYSTEMS = {
    "majority": {},
    "probe": {"pooling": ["cls"]},
    "merge": {"theseus": {"heads": ["labelled"]}, "interpolate": {}},
    "control": {"shuffled": {"of": ["theseus"]}},
}
OWN_FLOPS = {BIG: 1000, TINY: 100, PROBE: 30, THESEUS: 50, INTERPOLATE: 5, SHUFFLED: 50, "majority": 0}
# The best on select is not the best on report.
SELECT = {BIG: 0.9, TINY: 0.7, PROBE: 0.75, THESEUS: 0.8, INTERPOLATE: 0.6, SHUFFLED: 0.5, "majority": 0.95}
VALUES = {BIG: 0.9, TINY: 0.75, PROBE: 0.7, THESEUS: 0.8, INTERPOLATE: 0.6, SHUFFLED: 0.5, "majority": 0.5}


@pytest.fixture
def table(study, runs_of, tested):
    """Rows of matched.csv, by scenario, system and limit, of these values by system."""

    def made(values=VALUES, seeds=12, select=SELECT, inference=(), flops=OWN_FLOPS, **changes):
        by_seed = {
            name: {"all": value} if name in ("majority", PROBE) else {s: value + 0.01 * (s % 3) for s in range(seeds)}
            for name, value in values.items()
        }
        runs = runs_of(by_seed, select=select)
        for name, own in {"majority": 0, **dict(inference)}.items():
            runs.loc[runs["system"] == name, "inference_flops"] = own
        parts = {}
        for name, own in by_seed.items():
            for seed in own:
                parts["rte", name, seed] = {f"{name}/rte/seed-{seed}": flops[name]}
                if name in (THESEUS, INTERPOLATE, SHUFFLED):
                    parts["rte", name, seed][f"{TINY}/rte/seed-{seed}"] = flops[TINY]
        own = study(seeds=12, systems=SYSTEMS, **changes)
        found = matched(runs, Grid(own), tested(runs, own)[1], parts)
        assert tuple(found.columns) == COLUMNS
        return {(row["scenario"], row["system"], row["inference_limit"]): row for row in formats.records(found)}

    return made


def test_the_rival_is_the_best_on_select_of_those_that_cost_no_more(table):
    found = table()
    scratch, given = (found[name, THESEUS, "own"] for name in SCENARIOS)
    # From scratch the merge costs 150, and what is better on report may be worse on select.
    assert (scratch["rival"], scratch["train_flops"], scratch["rival_train_flops"]) == (PROBE, 150, 30)
    assert (given["rival"], given["train_flops"], given["rival_train_flops"]) == (PROBE, 50, 30)
    assert found["from-scratch", INTERPOLATE, "own"]["rival"] == PROBE
    # Of what is left to a merge at 5 FLOPs the small model, given, is better than majority, which knows labels alone.
    least = found["small-given", INTERPOLATE, "own"]
    assert (least["rival"], least["train_flops"], least["rival_train_flops"]) == (TINY, 5, 0)
    assert found["from-scratch", THESEUS, "own"]["difference"] == pytest.approx(0.11)


@pytest.mark.parametrize("price", [0.1, 1, 3, 20])
def test_no_rival_costs_more_to_train_nor_more_to_run_than_allowed(table, price):
    flops = OWN_FLOPS | {PROBE: 30 * price, BIG: 50 * price}
    inference = {TINY: 200, THESEUS: 1000 * price, INTERPOLATE: 150}
    found = table(inference=inference, flops=flops)
    limits = {"small": 200, "large": 1000, "any": float("inf")}
    for (_, _, limit), row in found.items():
        assert row["rival"] is not None and row["rival_train_flops"] <= row["train_flops"], row
        assert row["inference_flops"] <= limits.get(limit, row["inference_flops"])
        assert row["rival_inference_flops"] <= limits.get(limit, row["inference_flops"])


def test_a_limit_on_inference_has_the_best_merge_below_it(table):
    found = table(inference={TINY: 200, THESEUS: 1500, INTERPOLATE: 150})
    chosen = {limit: system for scenario, system, limit in found if scenario == "from-scratch" and limit != "own"}
    assert chosen == {"small": INTERPOLATE, "large": INTERPOLATE, "any": THESEUS}
    rivals = {limit: found["from-scratch", system, limit]["rival"] for limit, system in chosen.items()}
    assert rivals == {"small": TINY, "large": PROBE, "any": PROBE}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_merge_that_equals_its_rival_is_never_better(table, scenario):
    equal = table(VALUES | {THESEUS: 0.75}, select=SELECT | {TINY: 0.79})[scenario, THESEUS, "own"]
    assert equal["rival"] == TINY and equal["difference"] == 0 and equal["p_value"] == 1
    assert equal["verdict"] in ("equivalent", "inconclusive")


def test_verdicts_are_corrected_over_the_merges_of_a_scenario_and_not_given_to_controls(table):
    found = table()
    for scenario in SCENARIOS:
        merges = [found[scenario, name, "own"] for name in (THESEUS, INTERPOLATE)]
        assert [one["verdict"] for one in merges] == ["better", "worse"]
        # To be worse than a chosen rival is corrected for their number too.
        assert merges[1]["n_rivals"] == (3 if scenario == "from-scratch" else 2)
        lower, higher = sorted((merges[0]["p_value"], merges[1]["n_rivals"] * merges[1]["p_value"]))
        assert sorted(one["p_holm"] for one in merges) == pytest.approx([2 * lower, max(2 * lower, higher)])
        # The same test has the same verdict, whatever question it answers.
        for key in ("p_value", "p_holm", "verdict", "difference"):
            assert found[scenario, THESEUS, "any"][key] == found[scenario, THESEUS, "own"][key]
        control = found[scenario, SHUFFLED, "own"]
        assert (control["verdict"], control["p_holm"]) == ("descriptive", None) and control["new_high"] < 0


def test_only_the_primary_family_gets_verdicts(table):
    found = table(statistics={"primary_family": ["merge.theseus.*"]})
    assert found["from-scratch", INTERPOLATE, "own"]["verdict"] == "descriptive"
    row = found["from-scratch", THESEUS, "own"]
    assert row["verdict"] == "better" and row["p_holm"] == row["p_value"]


def test_few_seeds_have_a_difference_and_no_verdict(table):
    row = table(seeds=3)["from-scratch", THESEUS, "own"]
    assert row["difference"] == pytest.approx(0.11) and row["n_seeds"] == 3
    assert row["verdict"] is row["p_value"] is row["new_low"] is row["reach_low"] is None
    assert row["reach_ratio"] > 1


def test_what_the_large_model_alone_takes_to_reach_a_merge_is_between_the_systems_around_it(table):
    found = table()
    for scenario in SCENARIOS:
        row = found[scenario, THESEUS, "own"]
        # The probe has 0.70 for 30, the fine-tuned model 0.91 for 1000, the merge 0.81.
        share = (0.81 - 0.70) / (0.91 - 0.70)
        assert row["reach_flops"] == pytest.approx(30 * (1000 / 30) ** share)
        assert row["reach_ratio"] == pytest.approx(row["reach_flops"] / row["train_flops"])
        assert row["reach_low"] <= row["reach_ratio"] <= row["reach_high"]
    never = table(VALUES | {THESEUS: 0.97})["from-scratch", THESEUS, "own"]
    assert never["reach_flops"] is never["reach_ratio"] is never["reach_high"] is None
    free = table(flops=OWN_FLOPS | {INTERPOLATE: 0})["small-given", INTERPOLATE, "own"]
    assert free["train_flops"] == 0 and free["reach_ratio"] is None and free["rival"] == TINY


def test_without_a_system_that_costs_no_more_there_is_no_rival(table):
    dear = OWN_FLOPS | {TINY: 0, INTERPOLATE: 1}
    row = table({BIG: 0.9, INTERPOLATE: 0.6}, flops=dear)["from-scratch", INTERPOLATE, "own"]
    assert row["rival"] is row["difference"] is row["verdict"] is None and row["train_flops"] == 1


@pytest.mark.parametrize(("doubt", "chosen"), [(0.0, THESEUS), (0.04, THESEUS), (0.06, TINY)])
def test_with_few_labels_the_small_model_stays_unless_another_is_clearly_ahead(doubt, chosen):
    known = [
        Priced(System(name, "finetune", "train", "finetune", True), score, 0.0, 1.0, error)
        for name, score, error in ((TINY, 0.7, 0.0), (PROBE, 0.6, doubt), (THESEUS, 0.8, doubt))
    ]
    best = best_of(known, TINY)
    assert best and best.system.name == chosen
    assert best_of(known[1:], TINY) is known[2] and best_of([], TINY) is None


def test_the_doubt_about_a_score_is_that_of_the_rows_by_which_it_chose(study, runs_of):
    systems = {"few-labels": {"rows": [32], "of": ["theseus"]}, "merge": SYSTEMS["merge"]}
    grid = Grid(study(seeds=3, systems=systems))
    few = "merge.theseus.labelled.few-32.tiny-into-big"
    names = TINY, few
    runs = runs_of({name: {seed: 0.8 for seed in range(3)} for name in names}, select=dict.fromkeys(names, 0.8))
    runs = runs.assign(stderr=0.02, n=100)
    parts = {("rte", name, seed): {f"{name}/{seed}": 1} for name in names for seed in range(3)}
    found = {one.system.name: one for one in priced(runs, "rte", "tiny", scenarios([32])["few-labels-32"], grid, parts)}
    # 16 rows for each of 3 seeds, where the error on report is of 100.
    assert found[few].doubt == pytest.approx(0.02 * (100 / 48) ** 0.5) and found[TINY].doubt == 0
