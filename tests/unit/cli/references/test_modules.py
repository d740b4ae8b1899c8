from graft.cli.references import modules
from graft.cli.references.__main__ import ROOT


def test_the_map_replaces_what_is_below_its_heading_and_leaves_the_rest(tmp_path):
    page = tmp_path / "docs" / "architecture.md"
    page.parent.mkdir()
    page.write_text(f"# Words\n\nkept\n\n{modules.HEADING}\n\n- `gone.py`: of old\n")
    for name, text in (
        ("io/__init__.py", '"""Disk."""\n'),
        ("io/files.py", '"""Write whole\nfiles.\n\nMore."""\ndef write(): ...\ndef _mark(): ...\n'),
    ):
        (tmp_path / "graft" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "graft" / name).write_text(text)
    found = modules.architecture(page)
    assert found.startswith("# Words\n\nkept\n") and "gone.py" not in found
    assert found.endswith("**io**\n\n- `files.py`: Write whole files. `write`\n")


def test_every_module_is_on_it():
    found = modules.architecture(ROOT / "docs" / "architecture.md")
    for path in (ROOT / "graft").rglob("*.py"):
        if path.stem not in ("__init__", "__main__"):
            assert f"`{'/'.join(path.relative_to(ROOT / 'graft').parts[1:])}`" in found, path
