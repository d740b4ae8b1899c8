import pytest

from graft.reporting import formats


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0"), (1.25e15, "1.2e15"), (2.7e9, "2.7e9"), (2**70, "1.2e21")]
)
def test_flops(value, text):
    assert formats.flops(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.05, "+0.050"), (-0.05, "−0.050"), (-0.0001, "0.000")])
def test_differences_are_signed_unless_they_round_to_nothing(value, text):
    assert formats.difference(value) == text


def test_the_only_pair_is_common_to_all_but_the_control_of_other_pairs():
    own = ["finetune.big", "merge.theseus.labelled.tiny-into-big", "control.head-only.labelled.tiny-into-big"]
    assert formats.common_pair(own) == ".tiny-into-big"
    assert formats.common_pair([*own, "control.other-small.theseus.labelled.plain-into-big"]) == ".tiny-into-big"
    assert formats.common_pair([*own, "merge.theseus.labelled.plain-into-big"]) == ""


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (22713216, "22.7M"), (1.5e9, "1.5B"), (300, "300")])
def test_counts(value, text):
    assert formats.count(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0, "0"), (0.0123, "0.012"), (1.0, "1"), (1234.5, "1234")])
def test_ratios(value, text):
    assert formats.ratio(value) == text
