import math

import pytest

from graft.merging.homogeneous.checks import check_weights


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ((1.0,), "1 are given for 2 models; give one for each"),
        ((1.0, math.nan), "1.0, nan: must be finite numbers"),
        ((math.inf, 1.0), "inf, 1.0: must be finite numbers"),
        ((1.0, -1.0), "1.0, -1.0: sum to zero"),
        ((0.0, 0.0), "0.0, 0.0: sum to zero"),
    ],
)
def test_weights_that_say_nothing_are_refused(weights, told):
    with pytest.raises(ValueError, match=f"^--weights:? ?{told}"):
        check_weights(weights, 2)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (2.0, -1.0), (1e-30, 2e-30), (0.0, 1.0)])
def test_others_are_fine_whatever_their_size(weights):
    check_weights(weights, 2)
