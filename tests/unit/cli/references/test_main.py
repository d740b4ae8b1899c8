import pytest

from graft.cli.references import __main__
from graft.cli.references.__main__ import PAGES, ROOT


@pytest.mark.parametrize("name", PAGES)
def test_what_is_committed_is_what_the_code_says(name):
    assert (ROOT / name).read_text() == PAGES[name](), "call make docs"


def test_pages_are_written_where_they_are_committed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    __main__.main()
    assert capsys.readouterr().out.split() == list(PAGES)
    assert all((tmp_path / name).read_text() == PAGES[name]() for name in PAGES)
