import pytest

from graft.registry.merge_methods import METHODS, MethodFacts, _table, checked_options, facts, implementation


def test_an_unknown_method_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no merge method is called 'thesis'; available: .*theseus"):
        facts("thesis")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_implemented_and_its_defaults_are_valid(name):
    assert callable(implementation(name))
    assert checked_options(name, checked_options(name, None)) == checked_options(name, None)


@pytest.mark.parametrize("name", METHODS)
def test_weights_methods_run_the_large_model_only_and_have_both_halves(name):
    if facts(name).kind == "weights":
        assert facts(name).inference == ("large",)
        assert callable(implementation(name).prepare) and callable(implementation(name).apply)


def test_a_name_given_twice_is_refused():
    with pytest.raises(ValueError, match="registered twice"):
        _table(facts("theseus"), facts("theseus"))


def test_an_unknown_need_is_refused():
    wrong = MethodFacts("x", "weights", ("teacher",), "none", (), ("large",), "", "a:b")
    with pytest.raises(ValueError, match="'teacher' is not one of"):
        _table(wrong)


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("theseus", {"alpha": 1}, "no option 'alpha'; available: depth, embedding_delta, evidence, strengths"),
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
    ],
)
def test_a_wrong_option_is_named_in_one_sentence(method, given, message):
    with pytest.raises(ValueError, match=message) as error:
        checked_options(method, given)
    assert "\n" not in str(error.value) and method in str(error.value)


def test_given_options_take_the_place_of_defaults_and_strengths_are_sorted_once_each():
    options = checked_options("theseus", {"strengths": [2, 0, 2]})
    assert options == {"strengths": [0.0, 2.0], "embedding_delta": False, "depth": "uniform", "evidence": "activations"}


def test_no_option_of_a_method_has_the_name_of_a_key_that_all_merges_have():
    from graft.config.systems import MergeSystem

    for facts_ in METHODS.values():
        assert not set(facts_.options) & set(MergeSystem.model_fields)
