import pytest

from graft.cli.references.__main__ import PAGES, ROOT


@pytest.mark.parametrize("name", PAGES)
def test_what_is_committed_is_what_the_code_says(name):
    assert (ROOT / name).read_text() == PAGES[name](), "call make docs"
