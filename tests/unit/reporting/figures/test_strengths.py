from graft.reporting.figures import strengths
from tests.unit.reporting.figures.conftest import THESEUS


def test_a_strength_has_its_best_score_over_ridge_sizes(written):
    data = strengths.data(written)
    assert set(data["system"]) == {THESEUS}
    assert data[["seed", "strength", "score", "chosen"]].astype({"seed": str}).values.tolist() == [
        [str(seed), *point] for seed in (0, 1) for point in ((0.0, 0.55, False), (2.0, 0.6, True))
    ]
    (axis,) = strengths.draw(data).axes
    assert axis.get_title(loc="left") == "theseus"
