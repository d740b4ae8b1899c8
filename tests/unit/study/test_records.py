import json

import pytest

from graft.study import records

RECORD = {
    "schema": 1,
    "study": "s",
    "task": "rte",
    "system": "majority",
    "kind": "baseline",
    "seed": "all",
    "label_use": "train",
    "primary_metric": "accuracy",
    "metrics": {"accuracy": {"value": 0.5, "stderr": 0.03, "n": 277}},
    "degenerate": True,
    "select": None,
    "cost": {
        "train_flops": 2**70,
        "train_flops_parts": {},
        "nominal_flops": 2**71,
        "pretraining_flops": 0,
        "inference_flops": 0,
        "inference_flops_real": 0.0,
        "parameters": 0,
        "bytes": 0,
        "peak_memory_bytes": 1,
        "wall_seconds": 2.0,
        "energy_joules": None,
    },
    "hyperparameters": {},
    "choices": [
        {
            "name": "strength",
            "metric": "accuracy",
            "chosen": 1.0,
            "searched": [{"value": 1.0, "ridge": None, "score": 0.7}],
        },
    ],
    "diagnostics": {"missed.ffn": 0.3},
    "provenance": {
        "fingerprint": "f",
        "code_version": "0+a",
        "packages": {},
        "data_sha256": {},
        "model_sha256": {},
        "predictions_sha256": None,
        "hardware": {"cores": 2},
        "host": "h",
        "slurm_job_id": None,
        "threads": 1,
        "device": "cpu",
        "precision": "fp32",
        "evaluated": {"host": "h"},
        "finished": "2026-01-01T00:00:00+0000",
    },
}


def _with(part, **changes):
    return RECORD | {part: RECORD[part] | changes}


def test_a_written_record_is_read_back_field_for_field(tmp_path):
    record = records.RunRecord.model_validate(RECORD)
    records.write(tmp_path / "run.json", record)
    assert json.loads((tmp_path / "run.json").read_text()) == RECORD
    assert records.read(tmp_path / "run.json") == record


def test_equal_runs_on_two_hosts_differ_in_measured_fields_only():
    one = records.RunRecord.model_validate(RECORD)
    other = one.model_copy(
        update={
            "cost": one.cost.model_copy(update={"wall_seconds": 9.0, "peak_memory_bytes": 5, "energy_joules": 3.0}),
            "provenance": one.provenance.model_copy(update={"host": "i", "finished": "later", "slurm_job_id": "4"}),
        }
    )
    assert one != other
    assert records.without_measured(one) == records.without_measured(other)


@pytest.mark.parametrize(
    "changed", [_with("cost", train_flops=1), RECORD | {"degenerate": False}, RECORD | {"seed": 0}]
)
def test_any_other_difference_remains_without_the_measured_fields(changed):
    kept = [records.without_measured(records.RunRecord.model_validate(values)) for values in (RECORD, changed)]
    assert kept[0] != kept[1]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (RECORD | {"extra": 1}, "extra"),
        (RECORD | {"schema": 2}, "schema"),
        (RECORD | {"primary_metric": "f1"}, "primary_metric f1"),
        (_with("cost", train_flops=1.5), "cost.train_flops"),
        ({key: value for key, value in RECORD.items() if key != "system"}, "system"),
    ],
)
def test_a_wrong_record_is_refused_with_the_file_and_the_field(tmp_path, values, field):
    (tmp_path / "run.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"run.json: .*{field}"):
        records.read(tmp_path / "run.json")


def test_a_record_with_the_latency_that_was_never_measured_is_still_read(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(_with("cost", latency_seconds=None)))
    assert records.read(tmp_path / "run.json") == records.RunRecord.model_validate(RECORD)
    (tmp_path / "run.json").write_text(json.dumps(_with("cost", latency_seconds=0.1)))
    with pytest.raises(ValueError, match="cost.latency_seconds"):
        records.read(tmp_path / "run.json")


def test_nan_is_never_written(tmp_path):
    record = records.RunRecord.model_validate(_with("cost", inference_flops_real=float("nan")))
    with pytest.raises(ValueError):
        records.write(tmp_path / "run.json", record)
    assert list(tmp_path.iterdir()) == []
