"""The generated reference of Python: every function of `import graft`, as it is called, and what it returns."""

import inspect

import graft
from graft.api import Comparison
from graft.cli.references import functions
from graft.cli.references.__main__ import ROOT
from graft.io import markdown


def test_what_is_below_the_heading_is_replaced_and_the_rest_stays(tmp_path):
    page = tmp_path / "python.md"
    page.write_text(f"# Python\n\nkept\n\n{functions.HEADING}\n\nof old\n")
    found = functions.python(page)
    assert found.startswith(f"# Python\n\nkept\n\n{functions.HEADING}\n") and "of old" not in found


def test_every_function_is_there_with_its_arguments():
    _, found = functions.python(ROOT / "docs" / "python.md").split(functions.HEADING)
    for name in graft.__all__:
        section = found.split(f"### graft.{name}\n")[1].split("\n### ")[0]
        for parameter in inspect.signature(getattr(graft, name)).parameters:
            assert f"{parameter}: " in section, (name, parameter)
        purpose = markdown.prose(inspect.getdoc(getattr(graft, name)).splitlines()[0])
        assert purpose in section and ">>>" not in section


def test_what_they_return_is_there_too():
    found = functions.python(ROOT / "docs" / "python.md")
    assert all(f"`{field}`: " in found for field in Comparison.__dataclass_fields__)
    assert "def __call__(self, texts: Sequence[Text]) -> list[dict[str, Any]]\n" in found
