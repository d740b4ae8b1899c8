import pytest

from graft.io import files
from graft.registry import published
from graft.registry.published import Origin, of_folder, of_source

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_a_model_is_known_by_its_name_or_by_its_weights():
    assert of_source({"kind": "hub", "repo": "google-bert/bert-base-uncased"}).licence == "apache-2.0"
    assert of_source({"kind": "hub", "repo": "some/body"}) == Origin("some/body")
    assert "trained on NLI" in of_source({"kind": "python_package", "sha256": MINILM}).seen
    assert of_source({"kind": "path", "sha256": None}) == Origin()


def test_what_is_distilled_from_a_model_has_seen_what_it_saw_and_what_is_drawn_has_not(tmp_path):
    source = {"kind": "python_package", "sha256": MINILM}
    files.write_json(tmp_path / "large" / "manifest.json", {"source": source})
    files.write_json(tmp_path / "small" / "manifest.json", {"source": {"kind": "distilled", "teacher": "large"}})
    files.write_json(tmp_path / "drawn" / "manifest.json", {"source": {"kind": "random", "like": "small"}})
    assert of_folder(tmp_path / "large").repo == "sentence-transformers/all-MiniLM-L6-v2"
    assert of_folder(tmp_path / "small") == Origin(None, "apache-2.0", of_folder(tmp_path / "large").seen)
    assert of_folder(tmp_path / "drawn") == Origin(None, "apache-2.0")


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: mit\ntags: [a]\n---\n# A model\n", "mit"),
        ("---\nlicense: [mit, other]\n---\n", None),
        ("---\nlicense: {\n---\n", None),
        ("# A model\n---\nlicense: mit\n---\n", None),
        ("", None),
    ],
)
def test_a_folders_own_card_tells_its_licence(tmp_path, text, licence):
    (tmp_path / "README.md").write_text(text)
    assert of_folder(tmp_path, ["0" * 64]) == Origin(licence=licence)


def test_a_folder_is_known_by_its_weights(tmp_path):
    assert of_folder(tmp_path, [MINILM]).repo == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_licence_is_reported_where_all_have_it():
    assert published.common_licence([Origin(licence="mit"), Origin(licence="mit")]) == "mit"
    assert published.common_licence([Origin(licence="mit"), Origin()]) is None
    assert published.common_licence([]) is None


def test_a_folder_of_the_hubs_cache_is_known_by_its_name(tmp_path):
    folder = tmp_path / "models--some--body" / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    assert of_folder(folder) == Origin("some/body", "mit")
