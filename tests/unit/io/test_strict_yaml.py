import pytest

from graft.config import study as studies
from graft.io.strict_yaml import number_of, read_value, read_yaml, typed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("+4", 4),
        ("0", 0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("6e-3", 6e-3),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'010'", "010"),
        ("'no'", "no"),
        ("y", "y"),
        ("2024-01-01", "2024-01-01"),
        ("1.2.3", "1.2.3"),
        ("1:99", "1:99"),
        ("=", "="),
        ("[0, 0.5, 2e0]", [0, 0.5, 2.0]),
        ("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}),
        ("[&a {x: 1}, *a]", [{"x": 1}, {"x": 1}]),
    ],
)
def test_what_all_versions_of_yaml_agree_on_is_read(text, value):
    read = read_value(text, "here")
    assert read == value and type(read) is type(value)


AMBIGUOUS = "010 -010 08 00 1_000 1_0.5 0x1F 0o10 0b1 1:30 12:34:56 190:20:30.15 yes Yes NO on off".split()


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_they_read_in_different_ways_is_refused_and_quotes_make_it_text(text):
    for given in (text, f"[{text}]", f"{{a: {text}}}", f"{{{text}: a}}"):
        with pytest.raises(ValueError, match="^here: .* versions? of YAML") as error:
            read_value(given, "here")
        assert f"'{text}' for text" in str(error.value)
    assert read_value(f"'{text}'", "here") == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "here: a list, a mapping or a quotation mark is never closed"),
        ("{a: 1", "here: a list, a mapping or a quotation mark is never closed"),
        ('"a', "here: a list, a mapping or a quotation mark is never closed"),
        ("`a", "here: found character '`' that cannot start any token"),
        ("a\0b", "here: unacceptable character #x0000"),
        ("{a: 1, a: 2}", "here: key 'a' appears twice"),
        ("{1: a, '1': b}", "here: key '1' appears twice"),
        ("{[a]: b}", "here: a list or mapping cannot be a key"),
        ("*n", "here: found undefined alias 'n'"),
        ("[*]", "here: * begins an alias in YAML; put patterns in quotes"),
        ("!!int '010'", "here: '010' cannot be read as int"),
        ("!!binary aGk=", "here: the tag !!binary has no meaning in a config"),
        ("!!python/name:os.system", "here: the tag !!python/name:os.system has no meaning in a config"),
        ("9" * 5000, "cannot be read as int"),
        ("[" * 3000, "here: nested more than 50 levels deep"),
        ("[" * 60 + "]" * 60, "here: nested more than 50 levels deep"),
        ("&a [*a]", "here: nested more than 50 levels deep"),
        ("--- 1\n--- 2", "here: expected a single document in the stream but found another document"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text, told):
    with pytest.raises(ValueError) as error:
        read_value(text, "here")
    assert told in str(error.value) and len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 250


def test_aliases_of_aliases_end_before_memory_does():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ValueError, match="contains more than 100000 values with aliases"):
        read_value("\n".join(lines), "here")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", ": contains nothing, not keys; a study config is a mapping"),
        (b"# a\n", ": contains nothing, not keys"),
        (b"- a\n", ": contains a list, not keys"),
        (b"word\n", ": contains a single value, not keys"),
        (b"name: a\nseeds: 010\n", ", line 2: 010 is read differently by different versions of YAML"),
        (b"name: a\n\nname: b\n", ", line 3: key 'name' appears twice"),
        (b"a:\n\tb: 1\n", ", line 2: YAML does not allow tabs here"),
        (b"a: 1\nb 2\nc: 3\n", ", line 2: a key needs a colon and a space after it"),
        (b"a: b: c\n", ", line 1: a second colon, or a line indented too far"),
        (b"a: 1\nb: \0\n", ": line 2 has a NUL"),
        (b"a: 1\n# caf\xe9\n", ": line 2 is not UTF-8 (byte 10 of the file is 0xe9"),
        ("a: 1\n".encode("utf-16"), ": is text in UTF-16; save it as plain text in UTF-8"),
    ],
)
def test_a_file_that_is_no_config_is_one_sentence_with_its_line(tmp_path, data, told):
    path = tmp_path / "mine.yaml"
    path.write_bytes(data)
    with pytest.raises(ValueError) as error:
        studies.load(path)
    assert str(error.value).startswith(f"{path}{told}") and len(str(error.value).splitlines()) == 1


def test_a_folder_or_nothing_in_the_place_of_a_config_is_reported(tmp_path):
    with pytest.raises(ValueError, match="cannot be read .Is a directory"):
        studies.load(tmp_path)
    with pytest.raises(ValueError, match="none.yaml: no such study config"):
        studies.load(tmp_path / "none.yaml")


def test_the_mark_that_some_editors_begin_a_file_with_is_no_part_of_a_key(tmp_path):
    (tmp_path / "mine.yaml").write_text("\ufeffname: a\n")
    assert read_yaml(tmp_path / "mine.yaml") == {"name": "a"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"name": "a", "name": "b"}', "key 'name' appears twice"),
        ("[1]", "contains no keys"),
        ('{"a": 1,}', "Expecting property name"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_config_in_json_is_as_strict(tmp_path, text, told):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(ValueError, match=f"mine.json: {told}") as error:
        studies.load(tmp_path / "mine.json")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["[", "`", "a\0b", "010", "1_000", "yes", "", "é", "0x10", " 1", "1 ", "{a: 1}", "nan"]
)
def test_strings_among_a_methods_options_are_no_yaml(text):
    assert typed(text) == text and typed([text, "2"]) == [text, 2]
    with pytest.raises(ValueError, match="is text; a number is needed"):
        number_of(text)
