import pytest
import torch

from graft.merging.composite.logit_ensemble.maths import fit
from graft.merging.composite.proxy_tuning.maths import combine

torch.manual_seed(0)
PARTS = "probe", "tuned", "untuned"


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_without_a_change_or_without_strength_it_is_the_probe(classes):
    probe, tuned, untuned = torch.randn(3, 30, classes)
    scales = None if classes == 1 else (2.0, 3.0, 3.0)
    assert torch.equal(combine(probe, tuned, tuned, 1.5, scales), probe)
    assert torch.equal(combine(probe, tuned, untuned, 0.0, scales), probe)


def test_the_change_does_not_depend_on_the_scale_of_a_part_and_has_the_probes():
    probe, tuned, untuned = torch.randn(3, 40, 3, dtype=torch.float64)
    scored = {}
    for factors in ((1, 1, 1), (1, 50, 0.1), (7, 1, 1)):
        given = [factor * z for factor, z in zip(factors, (probe, tuned, untuned), strict=True)]
        _, scales = fit(combine, dict(zip(PARTS, given, strict=True)), [0, 1], lambda z: 0.0, scores=False)
        scored[factors] = combine(*given, 1.0, scales) / factors[0]
    one, *others = scored.values()
    for other in others:
        torch.testing.assert_close(one, other)


def test_the_best_strength_is_found_and_scores_are_used_as_they_are():
    goal = torch.randn(50, 1)
    probe, untuned = torch.randn(2, 50, 1)
    tuned = untuned + (goal - probe) / 2
    logits = dict(zip(PARTS, (probe, tuned, untuned), strict=True))
    choice, scales = fit(combine, logits, [0, 1, 2], lambda z: -(z - goal).norm().item(), scores=True)
    assert choice.chosen.strength == 2 and choice.score == pytest.approx(0, abs=1e-4) and scales is None


def test_parts_that_answer_differently_are_refused():
    logits = dict(zip(PARTS, (torch.ones(3, 2), torch.ones(3, 3), torch.ones(3, 2)), strict=True))
    with pytest.raises(ValueError, match=r"probe \[3, 2\], tuned \[3, 3\], untuned \[3, 2\]"):
        fit(combine, logits, [0], lambda z: 0.0, scores=False)
