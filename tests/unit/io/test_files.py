import pytest

from graft.io import files


def test_a_file_appears_only_when_its_block_ends_well(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("x")
    with files.atomic_folder(target) as temporary:
        (temporary / "new").write_text("y")
        assert (target / "old").exists()
    assert [f.name for f in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_nan_never_reaches_json(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "x.json", {"metric": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_broken_json_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ValueError, match="x.json: not valid JSON"):
        files.read_json(tmp_path / "x.json")


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    kept = tmp_path / "runs" / "model.safetensors"
    kept.parent.mkdir()
    kept.write_text("x")
    with pytest.raises(KeyboardInterrupt), files.atomic_folder(tmp_path / "runs" / "model") as temporary:
        (temporary / "part").write_text("y")
        left = tmp_path / "runs" / f".left.0{files.TEMPORARY}"
        temporary.rename(left)
        raise KeyboardInterrupt
    assert left.exists()
    files.remove_temporary(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [kept] and not left.exists()
