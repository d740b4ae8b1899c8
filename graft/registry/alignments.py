"""Ways to fit maps between two models' coordinates. Imports no torch."""

from typing import Literal, get_args

# Transport plans between units: soft, or one to one.
Plan = Literal["optimal_transport", "assignment"]
Alignment = Literal["least_squares", "procrustes", "scaled_procrustes", "whitened", Plan]
PLANS, ALIGNMENTS = get_args(Plan), get_args(Alignment)
# From this ridge on, least squares are solved by Cholesky, and null directions come out as zero by themselves. Below
# it, null directions are sought out.
EASY_RIDGE = 1e-4
