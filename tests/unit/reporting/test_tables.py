from graft.io import files
from graft.reporting import csv_files, tables


def test_tables_and_figures_are_the_same_bytes_twice(grid, paths, write_run):
    for seed, value in ((0, 0.6), (1, 0.7)):
        write_run("finetune.big", seed, value, train_flops=100)
        write_run("finetune.tiny", seed, value - 0.1, train_flops=20)
    write_run("majority", "all", 0.5, train_flops=0, degenerate=True)

    def made():
        tables.write_runs(grid, paths)
        tables.write_comparison(grid, paths)
        tables.write_figures(grid, paths)
        tables.write_report(grid, paths)
        written = [*paths.tables.iterdir(), *paths.figures.iterdir(), paths.report]
        return {file: files.sha256(file) for file in written}

    first = made()
    assert {file.name for file in first} == {
        *("runs.csv", "significance.csv", "aggregate.csv", "matched.csv", "answer.csv", "report.html"),
        *(f"comparison.{ending}" for ending in ("csv", "md", "html", "tex")),
        *(
            f"{figure}.rte.{ending}"
            for figure in ("metric-vs-training-flops", "metric-vs-inference-flops", "differences", "seeds")
            for ending in ("svg", "png", "pdf", "csv")
        ),
    }
    assert made() == first
    table = csv_files.read_csv(paths.tables / "comparison.csv").set_index("system")
    assert table.loc["majority", "degenerate"] == 1 and table.loc["majority", "pareto"] is True
    assert table.loc["finetune.big", "n_missing"] == 1
