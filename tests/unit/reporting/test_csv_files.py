import math

import pandas as pd
import pytest

from graft.reporting import csv_files


def test_a_table_survives_its_csv(tmp_path):
    table = pd.DataFrame(
        {"seed": [0, "all"], "value": [0.1 + 0.2, math.pi / 1e20], "pareto": [True, False], "low": [None, 0.5]},
        dtype=object,
    )
    csv_files.write_csv(table, tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines == ["seed,value,pareto,low", "0,0.30000000000000004,true,", "all,3.141592653589793e-20,false,0.5"]
    read = csv_files.read_csv(tmp_path / "t.csv")
    assert list(read["value"]) == list(table["value"])
    assert list(read["pareto"]) == [True, False] and list(read["low"]) == [None, 0.5]


def test_integers_beside_empty_cells_stay_integers(tmp_path):
    csv_files.write_csv(pd.DataFrame({"flops": [2**70 + 1, None], "n": [1, 2]}, dtype=object), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == f"flops,n\n{2**70 + 1},1\n,2\n"


def test_a_table_that_is_not_there_is_named_with_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="t.csv: no such table; .*graft tables"):
        csv_files.read_csv(tmp_path / "t.csv")


def test_a_comparison_of_an_older_version_is_reported_in_one_sentence(paths):
    csv_files.write_csv(pd.DataFrame({"task": ["rte"], "system": ["majority"]}), paths.tables / "comparison.csv")
    with pytest.raises(ValueError, match=r"comparison.csv: no column kind \(an older version wrote it\)"):
        csv_files.read_comparison(paths)
