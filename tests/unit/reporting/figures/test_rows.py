import pytest

from graft.reporting.figures import rows, seeds


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("merge.theseus.labelled", "merge.theseus.labelled"),
        ("control.other-small.functional.labelled.x-into-y", "control.other-small.\nfunctional.labelled.x-into-y"),
        ("a" * 50, "a" * 50),
    ],
)
def test_a_long_name_is_broken_at_the_dot_nearest_to_its_middle(name, told):
    assert rows.folded(name) == told


def test_kinds_stand_together_and_the_best_of_each_first(source):
    data = seeds.data(source)
    means = {row["system"]: row for row in data.to_dict("records")}
    ordered = [row["system"] for row in rows.ordered(list(means.values()), "mean")]
    assert ordered[:3] == ["finetune.big", "finetune.tiny", "merge.theseus.labelled.tiny-into-big"]
    assert ordered[-1] == "majority"
