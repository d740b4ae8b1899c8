"""Where the workflow's files are, in a clone and in an installed package."""

from graft.io import workflow


def test_in_a_clone_they_are_beside_the_library():
    assert (workflow.ROOT / "Snakefile").is_file() and workflow.importable(workflow.ROOT / "nowhere") == workflow.ROOT


def test_an_installed_package_is_importable_without_its_neighbours(tmp_path, monkeypatch):
    library, links = tmp_path / "site-packages" / "graft", tmp_path / "links"
    (library / "_workflow" / "workflow_scripts").mkdir(parents=True)
    monkeypatch.setattr(workflow, "_LIBRARY", library)
    for name in ("_INSTALLED", "ROOT"):
        monkeypatch.setattr(workflow, name, library / "_workflow")
    links.mkdir()
    (links / "graft").symlink_to(tmp_path / "gone")
    for _ in range(2):
        assert workflow.importable(links) == links
        assert {link.name: link.resolve() for link in links.iterdir()} == {
            "graft": library,
            "workflow_scripts": library / "_workflow" / "workflow_scripts",
        }
