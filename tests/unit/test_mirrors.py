"""Each module of graft/ has a file of tests of its own name, in the folder of its own name."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
# Modules that have none, each with where it is tested or why it need not be. This list only ever gets shorter.
EXCUSED = {
    "cli/merge_card": "what it writes is read in test_merge_folders and test_cards",
    "cli/merge_orders": "two records of fields, and what test_merge_folders reads of a dry run",
    "merging/alignment/maps": "a record of two fields",
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
    "merging/homogeneous/sparsifiers": "test_methods",
    "flops/linked": "test_counts, against torch's own count",
    "planning/disk": "test_sizes and the studies of tests/workflow",
    "planning/work": "test_plan and the studies of tests/workflow",
    "study/grid_systems": "test_grid",
    "study/steps": "test_grid and test_plan",
}


def mirror(module: Path) -> Path:
    """Where a module's tests stand: under its name, or its package's if it is an `__init__`, without underscores."""
    name = module.parent.name if module.stem == "__init__" else module.stem.strip("_")
    return ROOT / "tests" / "unit" / module.relative_to(ROOT / "graft").parent / f"test_{name}.py"


def test_every_module_has_its_tests():
    # A package's `__init__` of a docstring alone has nothing to be tested.
    modules = [path for path in (ROOT / "graft").rglob("*.py") if path.stem != "__init__" or "def " in path.read_text()]
    untested = {str(path.relative_to(ROOT / "graft").with_suffix("")) for path in modules if not mirror(path).is_file()}
    assert untested - EXCUSED.keys() == set(), "write tests/unit/<layer>/test_<module>.py"
    assert EXCUSED.keys() - untested == set(), "has its tests now, or is gone: take it off the list"
