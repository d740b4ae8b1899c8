import subprocess
import sys

import pytest

from graft.merging.homogeneous import table
from graft.merging.homogeneous.protocol import Method


@pytest.mark.parametrize("name", table.METHODS)
def test_every_method_is_implemented_and_its_defaults_are_valid(name):
    assert issubclass(table.implementation(name), Method)
    assert table.checked_options(name, table.checked_options(name, None)) == table.checked_options(name, None)


def test_an_unknown_method_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="is called 'tiez'; known are uniform, linear, slerp, .*, tsv"):
        table.facts("tiez")


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("uniform", {"density": 1}, "method 'uniform' has no option 'density'; known are none"),
        ("ties", {"density": 0}, "'density' of method 'ties' is 0; it must be a number above 0, 1 at most"),
        ("ties", {"density": 1.5}, "above 0, 1 at most"),
        ("ties", {"density": True}, "above 0, 1 at most"),
        ("ties", {"scope": "layer"}, "one of model, tensor"),
        ("dare_ties", {"seed": -1}, "whole number from 0 on"),
        ("dare_ties", {"seed": 1.5}, "whole number from 0 on"),
        ("della", {"density": 0.05, "epsilon": 0.2}, "leave probabilities of 0 to 1"),
        ("della", {"density": 0.95, "epsilon": 0.2}, "leave probabilities of 0 to 1"),
        ("breadcrumbs", {"density": 0.9, "outliers": 0.2}, "more than 1 together"),
        ("regmean", {"off_diagonal": 1.1}, "must be 1 at most"),
        ("fisher", {"floor": -1}, "a number from 0 on"),
    ],
)
def test_a_wrong_option_is_named_in_one_sentence(method, given, message):
    with pytest.raises(ValueError, match=message) as error:
        table.checked_options(method, given)
    assert "\n" not in str(error.value)


def test_neither_the_table_nor_a_merge_imports_torch():
    code = "import sys; import graft.__main__; from graft.merging.homogeneous import folders, table\n"
    code += "[table.implementation(name) for name in table.METHODS]\n"
    code += "print([m for m in ('torch', 'transformers', 'pandas', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
