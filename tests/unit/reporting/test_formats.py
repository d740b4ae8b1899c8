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


@pytest.mark.parametrize(("value", "shown"), [(0.7225, "0.723"), (0.0125, "0.013"), (-0.0125, "−0.013")])
def test_noise_of_the_last_bits_changes_no_digit_in_tables_or_sentences(value, shown):
    for noise in (0, 1e-13, -1e-13):
        assert formats.score(value + noise) == shown
        assert formats.difference(value + noise).removeprefix("+") == shown
        points = float(formats.points(value + noise).replace("−", "-"))
        assert points == pytest.approx(100 * float(shown.replace("−", "-")))


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (22713216, "22.7M"), (1.5e9, "1.5B"), (300, "300")])
def test_counts(value, text):
    assert formats.count(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0, "0"), (0.0123, "0.012"), (1.0, "1"), (1234.5, "1234")])
def test_ratios(value, text):
    assert formats.ratio(value) == text
