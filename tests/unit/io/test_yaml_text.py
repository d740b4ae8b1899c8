import pytest
import yaml

from graft.io import yaml_text

TEXT = """\
# about a
a: 1

# ---- ruler
# about b
b:
  # about c
  c:
    d: [1, 2]
    # about e, inside c
    e: 2
    # the end of c

  # about f
  f: 3
list:
  - x
last: 4
"""
LINES = TEXT.splitlines()


def test_an_unchanged_text_comes_back_whole():
    for path in (("a",), ("b",), ("b", "c"), ("b", "c", "e"), ("list",), ("last",)):
        start, end = yaml_text.find(LINES, path)
        assert yaml_text.replaced(LINES, path, LINES[start:end]) == LINES


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("a",), "a: 1"),
        (("b", "c"), "  c:\n    d: [1, 2]\n    # about e, inside c\n    e: 2\n    # the end of c"),
        (("b", "c", "d"), "    d: [1, 2]"),
        (("list",), "list:\n  - x"),
    ],
)
def test_a_value_ends_where_the_next_key_or_its_comment_begins(path, value):
    start, end = yaml_text.find(LINES, path)
    assert "\n".join(LINES[start:end]) == value


@pytest.mark.parametrize("path", [("c",), ("b", "e"), ("b", "last"), ("b", "c", "f")])
def test_a_key_is_looked_for_at_its_own_place_only(path):
    with pytest.raises(KeyError, match=r"\.".join(path)):
        yaml_text.find(LINES, path)


def test_a_key_is_taken_with_its_value_and_the_comment_above_it():
    assert yaml_text.taken(LINES, ("b", "c", "e")) == ["    # about e, inside c", "    e: 2"]
    assert yaml_text.taken(LINES, ("last",)) == ["last: 4"]


def test_removing_a_key_takes_its_comment_along_and_nothing_else():
    left = yaml_text.without(LINES, ("b", "c", "e"))
    assert [line for line in LINES if line not in left] == ["    # about e, inside c", "    e: 2"]
    expected = yaml.safe_load(TEXT)
    del expected["b"]["c"]["e"]
    assert yaml.safe_load("\n".join(left)) == expected


def test_new_lines_join_the_end_of_a_mapping():
    more = yaml_text.extended(LINES, ("b",), ["  g: 5"])
    assert yaml.safe_load("\n".join(more))["b"]["g"] == 5
    assert more.index("  g: 5") == LINES.index("  f: 3") + 1


def test_a_comment_is_that_of_its_key():
    assert yaml_text.comment(LINES, ("b", "c")) == ["  # about c"]
    assert yaml_text.comment(LINES, ("b", "c", "d")) == []


@pytest.mark.parametrize("value", ["plain", "123", "yes", "a: b", "# no", "o'clock", "é", "x" * 300, 0.1, [1, "1"], {}])
def test_a_value_in_one_line_reads_back(value):
    line = yaml_text.flow(value)
    assert "\n" not in line and yaml.safe_load(f"key: {line}") == {"key": value}
