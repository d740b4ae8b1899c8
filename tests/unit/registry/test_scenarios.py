import pytest

from graft.registry.scenarios import is_classical, named, scenarios

SCENARIOS = scenarios([None])
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
    assert all(scenario.admits(name, kind, "train", None, "tiny") == admitted for scenario in SCENARIOS.values())
    assert is_classical(name, kind) == (admitted and not name.startswith("merge."))
    assert not any(scenario.admits(name, kind, "report", None, "tiny") for scenario in SCENARIOS.values())


def test_a_scenario_of_few_labels_admits_what_saw_as_many_and_the_small_model():
    known = scenarios([None, 32, 0, 8, 32])
    assert [*known] == ["from-scratch", "small-given", "label-free", "few-labels-8", "few-labels-32"]
    assert all(named(name) == scenario for name, scenario in known.items())
    for name, scenario in known.items():
        for labels in (None, 0, 8, 32):
            assert scenario.admits("merge.theseus.labelled.tiny-into-big", "weights", "train", labels, "tiny") == (
                labels == scenario.labels
            )
        small = scenario.admits("finetune.tiny", "finetune", "train", None, "tiny")
        assert small and scenario.small_given == (name != "from-scratch")
        assert scenario.admits("finetune.big", "finetune", "train", None, "tiny") == (scenario.labels is None)
