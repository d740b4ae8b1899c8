"""Dropout that draws 16 bits for a number: its share, its gradient, where it stands in for torch's, and where not."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from graft.training.dropout import STEPS, dropout, quick_dropout


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_each_element_is_dropped_by_itself_with_probability_p(kind: torch.dtype, p: float) -> None:
    torch.manual_seed(0)
    shape = 40_000, 7
    found = dropout(torch.ones(shape, dtype=kind), p)
    gone = (found == 0).double()
    rows = gone.flatten()[: 40_000 * 4].view(-1, 4)  # of one draw of 64 bits

    # Five standard errors.
    assert abs(gone.mean() - p) < 5 * (p * (1 - p) / gone.numel()) ** 0.5
    assert (rows.mean(0) - p).abs().max() < 5 * (p * (1 - p) / len(rows)) ** 0.5
    assert (torch.corrcoef(rows.T) - torch.eye(4)).abs().max() < 5 / len(rows) ** 0.5
    kept = found[found != 0].unique()
    assert kept.tolist() == [torch.tensor(STEPS / round((1 - p) * STEPS), dtype=kind).item()]


def test_the_gradient_is_the_factor_of_each_element_and_the_generator_tells_which() -> None:
    x = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    found = dropout(x, 0.3)
    found.sum().backward()
    torch.manual_seed(3)
    again = dropout(x.detach(), 0.3)

    assert torch.equal(found.detach(), again) and torch.equal(x.grad * x.detach(), again)
    assert not torch.equal(dropout(x.detach(), 0.3), again)


def test_modules_and_functions_drop_quickly_inside_and_as_torch_does_outside() -> None:
    x, module = torch.ones(1000), nn.Dropout(0.25)

    def seeded(call) -> torch.Tensor:
        torch.manual_seed(1)
        return call()

    plain = seeded(lambda: module(x))
    with quick_dropout("cpu"):
        quick = seeded(lambda: module(x))
        called = seeded(lambda: functional.dropout(x, p=0.25, training=True))
        module.eval()
        asleep, nothing, all_of_it = module(x), functional.dropout(x, 0.0), functional.dropout(x, 1.0)
        hardly, nearly = functional.dropout(x, 1e-9), functional.dropout(x, 1 - 1e-9)
    module.train()

    assert torch.equal(quick, seeded(lambda: dropout(x, 0.25))) and torch.equal(called, quick)
    assert torch.equal(seeded(lambda: module(x)), plain) and not torch.equal(plain, quick)
    assert torch.equal(asleep, x) and torch.equal(nothing, x) and not all_of_it.any()
    assert torch.equal(hardly, x) and not nearly.any()


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (5, 0, 2)])
def test_any_number_of_elements(shape: tuple[int, ...]) -> None:
    assert dropout(torch.ones(shape), 0.5).shape == shape
