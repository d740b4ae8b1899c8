import subprocess
import sys

import pytest

from graft.merging.facts import Weights
from graft.merging.homogeneous.protocol import Method
from graft.registry import methods
from graft.registry.methods import checked_options, facts, implementation, table


def test_an_unknown_method_is_answered_with_the_known_ones_of_its_kind():
    with pytest.raises(ValueError, match="no merge method is called 'thesis'; available: calm, .*theseus"):
        facts("thesis", *methods.KINDS)
    with pytest.raises(ValueError, match="is called 'tiez'; available: uniform, linear, slerp, .*, tsv"):
        facts("tiez", methods.ONE_SHAPE)


@pytest.mark.parametrize("name", table())
def test_every_method_is_implemented_and_its_defaults_are_valid(name):
    assert callable(implementation(name))
    assert facts(name).kind != methods.ONE_SHAPE or issubclass(implementation(name), Method)
    assert checked_options(name, checked_options(name, None).values()) == checked_options(name, None)


@pytest.mark.parametrize("name", table("weights"))
def test_weights_methods_run_the_large_model_only_and_have_both_halves(name):
    assert facts(name).inference == ("large",)
    assert callable(implementation(name).prepare) and callable(implementation(name).apply)


def test_a_name_given_twice_is_refused(monkeypatch):
    monkeypatch.setattr(methods, "ROOMS", methods.ROOMS[:1] * 2)
    with pytest.raises(ValueError, match="registered twice"):
        table.__wrapped__()


def test_an_unknown_need_is_refused():
    with pytest.raises(ValueError, match="'teacher' is not one of"):
        type("Wrong", (Weights,), {"name": "x", "needs": ("teacher",)})


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("theseus", {"alpha": 1}, "no option 'alpha'; available: centred, depth, embedding_delta, evidence, layernorm"),
        ("theseus", {"embedding_delta": "yes"}, "must be true or false"),
        ("theseus", {"strengths": 1}, "must be a list of numbers from -1000 to 1000"),
        ("theseus", {"strengths": [0, "1"]}, "must be a list of numbers from -1000 to 1000"),
        ("theseus", {"strengths": [0, True]}, "must be a list of numbers from -1000 to 1000"),
        ("theseus", {"strengths": [0, float("nan")]}, "must be a list of numbers from -1000 to 1000"),
        ("theseus", {"strengths": [1, 2]}, "0 must be among them"),
        ("theseus", {"strengths": []}, "0 must be among them"),
        ("interpolate", {"trials": 2.5}, "whole number"),
        ("interpolate", {"trials": 0}, "whole number"),
        ("interpolate", {"trials": True}, "whole number"),
        ("spacewise", {"map_ridge": -1}, "must be a number from 0 on"),
        ("spacewise", {"map_ridge": True}, "must be a number from 0 on"),
        ("spacewise", {"depth": "deep"}, "one of uniform, spread, cka"),
        ("logit_ensemble", {"probe": "max"}, "one of cls, mean"),
        ("concat_probe", {"small": "pretrained", "folds": 2}, "folds are of fine-tunings, which small pretrained has"),
        ("stitch", {"direction": "up"}, "one of both, small_to_large, large_to_small"),
        ("logit_ensemble", {"probe": ["mean"]}, "one of cls, mean"),
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
        checked_options(method, given)
    assert "\n" not in str(error.value) and method in str(error.value)


def test_given_options_take_the_place_of_defaults_and_strengths_are_sorted_once_each():
    options = checked_options("theseus", {"strengths": [2, 0, 2]}).values()
    defaults = {"embedding_delta": False, "centred": False, "layernorm": "map", "depth": "midpoints"}
    assert options == {"strengths": [0.0, 2.0], **defaults, "evidence": "activations"}


def test_a_number_stays_of_the_type_that_it_was_given_in():
    """Fingerprints are made of values as JSON, in which 0 and 0.0 differ."""
    given, default = (checked_options("spacewise", options).map_ridge for options in ({"map_ridge": 0}, None))
    assert (type(given), type(default)) == (int, float)


def test_the_random_grid_holds_zero_and_depends_on_the_seed_alone():
    options = checked_options("interpolate", None)
    grid = options.grid(3)
    assert len(grid) == 20 and grid[0] == 0 and list(grid) == sorted(grid) and max(grid) <= 1
    assert grid == options.grid(3) != options.grid(4)


def test_the_listed_grid_is_used_as_it_is():
    assert checked_options("theseus", {"strengths": [0, 3]}).grid(0) == (0, 3)


def test_no_option_of_a_method_has_the_name_of_a_key_that_all_merges_have():
    from graft.config.systems import MergeSystem

    for method in table(*methods.KINDS).values():
        assert not set(method.known()) & set(MergeSystem.model_fields)


@pytest.mark.parametrize(
    "code",
    [
        "[methods.checked_options(name, None) for name in methods.table()]",
        "[methods.implementation(name) for name in methods.table(methods.ONE_SHAPE)]\n"
        "import graft.cli.main; from graft.merging.homogeneous import folders",
    ],
    ids=["facts and options of all methods", "a merge of one shape"],
)
def test_it_takes_no_torch(code):
    code = f"import sys; from graft.registry import methods\n{code}\n"
    code += "print([m for m in ('torch', 'transformers', 'pandas', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
