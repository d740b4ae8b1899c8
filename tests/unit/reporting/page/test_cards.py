import subprocess
import sys

import pytest

from graft.registry import methods
from graft.reporting.page import cards
from tests.unit.reporting.page.conftest import THESEUS


@pytest.mark.parametrize("method", methods.table(*methods.KINDS))
def test_every_method_says_what_it_is(method):
    what, paragraphs = cards.documentation(method)
    assert what.endswith((".", "!")) and len(what) > 30
    assert all("\n" not in paragraph for paragraph in paragraphs)


@pytest.mark.parametrize(
    ("method", "formula"),
    [
        ("theseus", "dW_L = T_out^T dW_S T_in"),
        ("interpolate", "a small + (1 - a) large"),
        ("logit_ensemble", "beta z_S + (1 - beta) z_L"),
        ("calm", "r <- r + link_i(h_L[g_i] + r, h_S[m_i])"),
    ],
)
def test_the_formula_is_on_the_card(method, formula):
    assert any(formula in paragraph for paragraph in cards.documentation(method)[1])


def test_a_card_has_the_source_and_the_cost_in_this_study(grid, runs_of, compare, study):
    table = compare(runs_of({"finetune.big": {0: 0.9}, THESEUS: {0: 0.8}}, flops={THESEUS: 25}), study())
    found = {card.name: dict(card.facts) for card in cards.cards(table, grid)}
    assert list(found) == ["theseus", "interpolate"]
    assert found["theseus"]["training FLOPs"] == "×0.25 of the reference"
    assert found["interpolate"]["training FLOPs"] == "no run has finished"
    assert "arXiv 2602.12952" in found["theseus"]["source"]
    assert "strengths 0, 0.5, 1, 2, 3, 4" in found["theseus"]["options of theseus"]


def test_cards_need_no_torch():
    code = "import sys; from graft.reporting.page import cards; cards.documentation('theseus')"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
