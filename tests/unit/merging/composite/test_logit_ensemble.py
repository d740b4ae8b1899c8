import pytest
import torch

from graft.merging.composite.logit_ensemble.maths import combine, fit, scale

torch.manual_seed(0)


@pytest.mark.parametrize("classes", [2, 3])
def test_at_the_ends_the_ensemble_decides_as_its_parents(classes):
    small, probe = torch.randn(30, classes), 0.01 * torch.randn(30, classes) + 0.5
    scales = scale(small), scale(probe)
    assert torch.equal(combine(small, probe, 1.0, scales).argmax(1), small.argmax(1))
    assert torch.equal(combine(small, probe, 0.0, scales).argmax(1), probe.argmax(1))


def test_scores_are_used_as_they_are():
    small, probe = torch.randn(30, 1), torch.randn(30, 1)
    assert torch.equal(combine(small, probe, 1.0, None), small) and torch.equal(combine(small, probe, 0.0, None), probe)
    torch.testing.assert_close(combine(small, probe, 0.25, None), 0.25 * small + 0.75 * probe)


def test_the_ensemble_does_not_depend_on_a_parents_scale_or_shift():
    small, probe = torch.randn(30, 3), torch.randn(30, 3)
    shifted = 100 * probe + torch.randn(30, 1)
    one, two = (combine(small, p, 0.3, (scale(small), scale(p))) for p in (probe, shifted))
    torch.testing.assert_close(one, two)


def test_normalised_logits_have_unit_root_mean_square():
    logits = 5 * torch.randn(30, 3) + 2
    assert combine(logits, logits, 1.0, (scale(logits),) * 2).square().mean().sqrt() == pytest.approx(1)


def test_equal_logits_have_scale_one():
    assert scale(torch.ones(4, 2)) == 1.0


def test_the_better_parents_weight_is_found_and_recorded():
    labels = torch.arange(30) % 2
    small = torch.nn.functional.one_hot(labels, 2).float()
    choice, scales = fit(
        combine, {"small": small, "probe": torch.tensor([0.0, 1.0]).repeat(30, 1)}, [0, 0.25, 1],
        lambda logits: (logits.argmax(1) == labels).float().mean().item(), scores=False,
    )  # fmt: skip
    assert choice.chosen.strength == 1 and choice.score == 1.0 and len(choice.searched) == 3
    assert scales == (0.5, 0.5)


def test_for_scores_no_scale_is_stored():
    logits = {"small": torch.ones(3, 1), "probe": torch.ones(3, 1)}
    assert fit(combine, logits, [0, 1], lambda z: 0.0, scores=True)[1] is None


def test_parents_that_answer_differently_are_refused():
    logits = {"small": torch.ones(3, 2), "probe": torch.ones(3, 3)}
    with pytest.raises(ValueError, match=r"small \[3, 2\], probe \[3, 3\]"):
        fit(combine, logits, [0], lambda z: 0.0, scores=False)
