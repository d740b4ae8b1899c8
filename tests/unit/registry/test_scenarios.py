import pytest

from graft.registry.scenarios import SCENARIOS, is_classical

PARTS = {"distil.tiny": 5, "finetune.tiny/rte/seed-0/train": 100, "merge.x/rte/seed-0/head": 7}
SMALL = {"distil.tiny", "finetune.tiny/rte/seed-0/train", "finetune.tiny/rte/seed-0/select"}


def test_what_the_small_model_has_is_free_where_it_is_given_and_nothing_else():
    scratch, given = SCENARIOS["from-scratch"], SCENARIOS["small-given"]
    assert (scratch.cost(PARTS, SMALL), given.cost(PARTS, SMALL)) == (112, 7)
    inherited = sum(flops for part, flops in PARTS.items() if part in SMALL)
    assert scratch.cost(PARTS, SMALL) - given.cost(PARTS, SMALL) == inherited
    assert given.cost(PARTS, {"finetune.tiny/rte/seed-1/train"}) == 112
    assert given.cost(dict.fromkeys(SMALL, 3), SMALL) == given.cost({}, SMALL) == 0


@pytest.mark.parametrize(
    ("name", "kind", "admitted"),
    [
        ("finetune.big", "finetune", True),
        ("budget.1-64.big", "finetune", True),
        ("majority", "baseline", True),
        ("merge.theseus.labelled.tiny-into-big", "weights", True),
        ("finetune.untrained", "control", False),
        ("control.head-only.labelled.tiny-into-big", "control", False),
        ("oracle.theseus.labelled.big", "oracle", False),
        ("warm-start.merged.3.theseus.labelled.tiny-into-big", "finetune", False),
        ("soup.ties.big", "soup", False),
    ],
)
def test_merges_and_classical_systems_are_admitted(name, kind, admitted):
    assert all(scenario.admits(name, kind, "train") == admitted for scenario in SCENARIOS.values())
    assert is_classical(name, kind) == (admitted and not name.startswith("merge."))
    assert not any(scenario.admits(name, kind, "report") for scenario in SCENARIOS.values())
