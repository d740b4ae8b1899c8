"""Each module of graft/ has a file of tests of its own name, in the folder of its own name."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]
# Modules that have none, each with where it is tested or why it need not be. This list only ever gets shorter.
EXCUSED = {
    "": "the package itself, whose functions are api's: test_api",
    "cli/merge_card": "what it writes is read in test_merge_folders and test_cards",
    "cli/merge_orders": "two records of fields, and what test_merge_folders reads of a dry run",
    "merging/alignment/maps": "a record of two fields",
    "merging/composite/facts": "test_plan and the properties of steps, whose FLOPs they are",
    "registry/alignments": "names and a bound",
    "registry/options": "test_methods, on every method's options",
    "merging/homogeneous/orders": "two records of fields",
    "merging/homogeneous/protocol": "what methods must have, which test_methods runs on each",
    **{
        f"merging/alignment/{name}": "heterogeneous/test_spacewise and test_theseus, on models that are copies"
        for name in ("spaces", "transport")
    },
    **{
        f"merging/composite/{name}": "test_trained, which has the properties of all that are trained"
        for name in ("calm", "ladder", "side_tuning")
    },
    "merging/composite/concat_probe": "test_loading",
    "merging/heterogeneous/ot_fusion": "test_properties",
    "merging/homogeneous/card": "test_folders",
    "merging/homogeneous/engine": "test_methods",
    "merging/homogeneous/layout": "test_saved_models",
    "study/grid_systems": "test_grid",
}


def mirror(module: Path) -> Path:
    """Where a module's tests stand: under its name, or its package's if it is an `__init__`, without underscores.

    A method's room, which has its mathematics in `maths`, has one file of tests; so have the steps, and the
    families, which share theirs.
    """
    folder, name = module.relative_to(ROOT / "graft").parent, module.stem.strip("_")
    if (module.parent / "maths.py").is_file() or folder in (Path("study/steps"), Path("registry/families")):
        folder, name = folder.parent, folder.name
    elif name == "init":
        name = folder.name
    return TESTS / folder / f"test_{name}.py"


def test_every_module_has_its_tests():
    # A package's `__init__` of a docstring alone has nothing to be tested.
    modules = [path for path in (ROOT / "graft").rglob("*.py") if path.stem != "__init__" or "def " in path.read_text()]
    mirrors = {mirror(path) for path in modules}
    untested = {str(path.relative_to(TESTS)).replace("test_", "")[:-3] for path in mirrors if not path.is_file()}
    assert untested - EXCUSED.keys() == set(), "write tests/unit/<layer>/test_<module>.py"
    assert EXCUSED.keys() - untested == set(), "has its tests now, or is gone: take it off the list"
