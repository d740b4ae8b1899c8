import pytest

from graft.io import names


def test_the_only_pair_is_common_to_all_but_the_control_of_other_pairs():
    own = ["finetune.big", "merge.theseus.labelled.tiny-into-big", "control.head-only.labelled.tiny-into-big"]
    assert names.common_pair(own) == ".tiny-into-big"
    assert names.common_pair([*own, "control.other-small.theseus.labelled.plain-into-big"]) == ".tiny-into-big"
    assert names.common_pair([*own, "merge.theseus.labelled.plain-into-big"]) == ""


@pytest.mark.parametrize(
    "name", ["glue", "all-minilm-l6-v2", "bge-small-en-v1.5", "a", "0", "seeds", "a.b_c", "x" * 64]
)
def test_names(name):
    assert names.checked_name(name) == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SST2", "names match"),
        ("../up", "names match"),
        ("a/b", "names match"),
        ("", "names match"),
        (".", "names match"),
        ("a b", "names match"),
        ("a\n", "names match"),
        ("naïve", "names match"),
        ("a..b", "dots must be single"),
        ("a.", "dots must be single"),
        ("all", "it is reserved in paths"),
        ("seed-1", "it is reserved in paths"),
        ("seed-all", "it is reserved in paths"),
        ("con", "it is reserved in paths"),
        ("aux.txt", "it is reserved in paths"),
        ("tiny-into-big", "-into- joins two names"),
        ("imdb.from-sst2", ".from- joins two names"),
        ("x" * 65, "it has 65 characters, 64 at most"),
        ("X" * 10_000, "names match"),
    ],
)
def test_what_is_no_name_is_reported_in_one_short_sentence(name, told):
    with pytest.raises(ValueError, match=f"is not a name: .*{told}") as error:
        names.checked_name(name)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 200


def test_a_near_miss_is_reported():
    assert names.meant("sedes", ["name", "seeds"]) == "; did you mean seeds?"
    assert names.meant("SST2", ["sst2", "rte"]) == "; did you mean sst2?"
    assert names.meant("zzz", ["name", "seeds"]) == ""


def test_of_many_names_the_nearest_are_listed_and_of_few_all():
    many = [f"merge.{letter}" for letter in "abcdefghi"]
    assert names.near("merge.x", many[:8]) == f"available: {', '.join(many[:8])}"
    told = names.near("merge.b", many)
    assert told.startswith("similar: merge.b, ") and told.count(",") == 7
    assert names.near("merge.x", []) == "available: none"
