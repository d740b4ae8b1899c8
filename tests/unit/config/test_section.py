"""Every number of every section and of every method's options: found by looking, so that no new one is forgotten."""

import math
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from graft.config import study as studies
from graft.config.section import Section
from graft.registry import methods

# The bounds of a number are where it ceases to make sense, and far from these.
WRONG = [
    math.nan,
    math.inf,
    -math.inf,
    True,
    False,
    1e300,
    -1e300,
    10**400,
    "nan",
    ".inf",
    "yes",
    "010",
    "1_000",
    "",
    [],
]


def sections(above: type[Section] = Section) -> Iterator[type[Section]]:
    for section in above.__subclasses__():
        if section.__module__.startswith("graft."):
            yield section
            yield from sections(section)


def with_wrong(annotation: Any, wrong: Any) -> Iterator[Any]:
    """Values of a field that are right but for one number in them; none where the field has no number."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (int, float):
        yield wrong
    elif origin is typing.Annotated:
        yield from with_wrong(inner[0], wrong)
    elif origin is tuple and inner[-1] is not ...:
        for at, part in enumerate(inner):
            for value in with_wrong(part, wrong):
                yield [value if i == at else 0.5 for i in range(len(inner))]
    elif origin is tuple:
        yield from ([value] for value in with_wrong(inner[0], wrong))
    elif origin is dict:
        yield from ({"a": value} for value in with_wrong(inner[1], wrong))
    else:
        for part in inner:
            yield from with_wrong(part, wrong)


NUMBERS = [
    (section, name, field.annotation)
    for section in dict.fromkeys(sections())
    for name, field in section.model_fields.items()
    if list(with_wrong(field.annotation, 0))
]
OPTIONS = [
    (name, option) for name, facts in methods.table().items() for option, kind in facts.known().items() if kind.bounds
]


def test_numbers_are_found():
    named = {(section.__name__, name) for section, name, _ in NUMBERS}
    assert {
        ("FineTuning", "learning_rate"),
        ("FineTuning", "adam_betas"),
        ("SettingsGrid", "epochs"),
        ("Statistics", "margins"),
        ("Study", "seeds"),
        ("SoupMerge", "members"),
        ("Launch", "checkpoint_minutes"),
    } <= named
    assert len(named) > 70 and len(OPTIONS) > 20


@pytest.mark.parametrize(
    ("section", "name", "annotation"), NUMBERS, ids=lambda value: getattr(value, "__name__", value)
)
def test_every_number_of_every_section_is_finite_in_range_and_no_truth_value(section, name, annotation):
    key = section.model_fields[name].alias or name
    for wrong in WRONG:
        for value in with_wrong(annotation, wrong):
            with pytest.raises(ValidationError) as error:
                section.model_validate({key: value})
            assert any(problem["loc"][:1] == (key,) for problem in error.value.errors()), (section, key, value)


@pytest.mark.parametrize(("method", "option"), OPTIONS)
def test_every_number_among_the_options_of_methods_is_too(method, option):
    for wrong in [*WRONG, None, {}]:
        with pytest.raises(ValueError) as error:
            methods.checked_options(method, {option: wrong})
        assert option in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize("wrong", [math.nan, math.inf, True, 1e9, 10**400, "one"])
def test_strengths_of_a_method_are_too(wrong):
    with pytest.raises(ValueError, match="it must be a list of numbers from -1000 to 1000"):
        methods.checked_options("theseus", {"strengths": [0, wrong]})


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        (10**9, "1000000000"),
        (1001, "1001"),
        (0, "0"),
        (-3, "-3"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "nothing"),
        ("010", "'010'"),
        ("a", "'a'"),
    ],
)
def test_a_wrong_number_of_seeds_is_one_sentence_and_no_list_is_built(study_config, seeds, told):
    with pytest.raises(ValueError, match="^seeds: ") as error:
        studies.parse({**study_config, "seeds": seeds})
    assert told in str(error.value) and len(str(error.value).splitlines()) == 1


def test_too_long_a_list_of_seeds_is_one_sentence(study_config):
    with pytest.raises(ValueError, match="^seeds: 1001 were given; at most 1000 are possible$"):
        studies.parse({**study_config, "seeds": list(range(1001))})


def test_numbers_as_the_command_line_gives_them_are_the_same(study_config):
    given = study_config["models"]["large"]["finetune"]["sst2"]
    whole = studies.parse(study_config)
    given |= {key: str(value) for key, value in given.items()}
    assert (
        studies.parse({**study_config, "seeds": ["0", "1"]}) == whole == studies.parse({**study_config, "seeds": "2"})
    )
