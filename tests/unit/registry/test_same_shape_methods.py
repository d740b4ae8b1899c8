import subprocess
import sys

import pytest

from graft.merging.homogeneous.protocol import Method
from graft.registry import same_shape_methods


@pytest.mark.parametrize("name", same_shape_methods.METHODS)
def test_every_method_is_implemented_and_its_defaults_are_valid(name):
    assert issubclass(same_shape_methods.implementation(name), Method)
    assert same_shape_methods.checked_options(
        name, same_shape_methods.checked_options(name, None)
    ) == same_shape_methods.checked_options(name, None)


def test_an_unknown_method_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="is called 'tiez'; available: uniform, linear, slerp, .*, tsv"):
        same_shape_methods.facts("tiez")


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("uniform", {"density": 1}, "method 'uniform' has no option 'density'; available: none"),
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
        same_shape_methods.checked_options(method, given)
    assert "\n" not in str(error.value)


def test_neither_the_table_nor_a_merge_imports_torch():
    code = "import sys; import graft.cli.main; from graft.merging.homogeneous import folders\n"
    code += "from graft.registry import same_shape_methods\n"
    code += "[same_shape_methods.implementation(name) for name in same_shape_methods.METHODS]\n"
    code += "print([m for m in ('torch', 'transformers', 'pandas', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
