import yaml

from graft.io import yaml_text

VALUES = {
    "name": "123",
    "seeds": 3,
    "tasks": {
        f"task-{i}": {"source": {"kind": "tsv", "folder": "some/folder"}, "labels": ["0", "no"]} for i in range(3)
    },
    "wide": {"first": {"text": "x" * 80}, "second": {"text": "y" * 80, "empty": {}, "none": None}},
    "strange: key": {"a": "# no comment\nbut two lines"},
    "list": [{"large": "a", "small": "b"}],
}


def test_what_is_written_is_read_again():
    assert yaml.safe_load("\n".join(yaml_text.lines(VALUES))) == VALUES


def test_a_mapping_is_split_where_it_does_not_fit():
    lines = yaml_text.lines(VALUES)
    assert lines[:4] == ["name: '123'", "seeds: 3", "tasks:", f"  task-0: {yaml_text.flow(VALUES['tasks']['task-0'])}"]
    assert max(map(len, lines)) <= yaml_text.WIDTH


def test_a_value_that_cannot_be_split_stays_on_its_line():
    assert yaml_text.lines({"text": "x " * 100}) == [f"text: '{'x ' * 100}'"]
