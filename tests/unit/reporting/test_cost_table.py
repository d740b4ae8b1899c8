import pytest

from graft.measuring import measurements
from graft.measuring.measurements import Measurement, Measurements
from graft.reporting import cost_table, csv_files, tables
from graft.study import kin
from graft.study.records import Cost
from graft.study.steps.measure_cost import MeasureCost
from tests.unit.reporting.conftest import COST

MERGE = "merge.theseus.labelled.tiny-into-big"


@pytest.fixture
def measured(grid):
    """Made-up measurements: every architecture has another latency."""
    runs = {one.run.id: f"arch-{n}" for n, one in enumerate(kin.kin(grid, "rte"))}
    found = {
        name: Measurement(
            latency_p50_seconds=0.5 + n,
            latency_p90_seconds=0.9 + n,
            examples_per_second=8.0,
            inference_peak_memory_bytes=10**9 + n,
        )
        for n, name in enumerate(runs.values())
    }
    return Measurements(
        fingerprint=MeasureCost("rte").fingerprint(grid),
        task="rte",
        texts=5,
        batch_size=2,
        rounds=1,
        device="cpu",
        hardware="a processor",
        threads=1,
        architectures=found,
        runs=runs,
        provenance={},
    )


@pytest.fixture
def row_of(grid, paths):
    """Writes cost.csv and returns the row of a system."""

    def row(system):
        tables.write_runs(grid, paths)
        tables.write_costs(grid, paths)
        table = csv_files.read_csv(paths.tables / "cost.csv")
        assert list(table.columns) == list(cost_table.COLUMNS) and not table.duplicated(["task", "system"]).any()
        return table.set_index("system").loc[system]

    return row


def test_costs_are_means_over_finished_runs_and_ratios_to_the_reference(write_run, row_of):
    for seed, flops in ((0, 30), (1, 50)):
        write_run("finetune.big", seed, train_flops=flops)
        write_run(MERGE, seed, train_flops=flops * 2)
    row = row_of(MERGE)
    assert (row["n_seeds"], row["train_flops"], row["train_flops_ratio"]) == (2, 80, 2)
    assert (row["inference_flops_ratio"], row["inference_flops_real_ratio"], row["bytes"]) == (1, 1, 1200)
    assert row["latency_p50_seconds"] is None and row["architecture"] is None


def test_a_study_without_its_reference_or_its_runs_has_empty_cells(write_run, row_of):
    write_run("majority", "all", train_flops=0)
    assert row_of("majority")["train_flops"] == 0 and row_of("majority")["train_flops_ratio"] is None
    assert row_of(MERGE)["n_seeds"] == 0 and row_of(MERGE)["train_flops"] is None


def test_what_was_measured_is_joined_by_architecture(grid, paths, write_run, row_of, measured):
    write_run("majority", "all")
    measurements.write(MeasureCost("rte").output(paths), measured)
    large, small, merge = (row_of(name) for name in ("finetune.big", "finetune.tiny", MERGE))
    assert (large["latency_p50_seconds"], small["latency_p50_seconds"]) == (0.5, 1.5)
    assert merge["architecture"] == large["architecture"] == "arch-0" and merge["device"] == "cpu"
    assert merge["inference_peak_memory_bytes"] == 10**9 and merge["energy_joules_per_example"] is None
    assert row_of("majority")["latency_p50_seconds"] is None and row_of("majority")["device"] is None
    # As an integer, though others have none.
    assert ",1000000000," in (paths.tables / "cost.csv").read_text()


def test_measurements_of_another_config_are_left_out_and_reported(grid, paths, row_of, measured, caplog):
    measurements.write(MeasureCost("rte").output(paths), measured.model_copy(update={"fingerprint": "old"}))
    assert row_of("finetune.big")["latency_p50_seconds"] is None
    assert f"{MeasureCost('rte').output(paths)}: measured by another config" in caplog.text


def test_a_broken_file_is_named_with_its_field(paths, measured):
    values = measured.model_dump() | {"threads": "some"}
    from graft.io import files

    files.write_json(MeasureCost("rte").output(paths), values)
    with pytest.raises(ValueError, match=r"costs/rte.json: threads: .*delete it and run snakemake again"):
        measurements.read(MeasureCost("rte").output(paths))


def test_parts_of_all_seeds_are_one_and_stay_exact():
    def cost(seed, **parts):
        named = {name.replace("SEED", f"seed-{seed}"): flops for name, flops in parts.items()}
        return Cost(**COST | {"train_flops": sum(parts.values()), "train_flops_parts": named})

    huge = 2**70
    name = "finetune.big/rte/SEED/train"
    costs = [cost(0, **{name: huge + 1, "embed.big/rte/fit-64": 7}), cost(1, **{name: huge + 3})]
    assert cost_table.mean_parts(costs, "rte") == {"finetune.big/train": huge + 2, "embed.big/fit-64": 3.5}
    members = [cost("all", **{"finetune.big/rte/seed-0/train": 5, "finetune.big/rte/seed-1/train": 6})]
    assert cost_table.mean_parts(members, "rte") == {"finetune.big/train": 11}
    assert cost_table.mean_parts([], "rte") == {}
