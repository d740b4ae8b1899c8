import pytest

from graft.io import files
from graft.measuring import measurements

FOUND = measurements.Measurements(
    fingerprint="f",
    task="rte",
    texts=16,
    batch_size=8,
    rounds=2,
    device="cpu",
    hardware="a processor",
    threads=1,
    architectures={
        "bert": measurements.Measurement(
            latency_p50_seconds=0.1, latency_p90_seconds=0.2, examples_per_second=1 / 3, energy_joules_per_example=None
        )
    },
    runs={"finetune.large": "bert"},
    provenance={"host": "h"},
)


def test_measurements_are_read_back_field_for_field(tmp_path):
    measurements.write(tmp_path / "rte.json", FOUND)
    assert measurements.read(tmp_path / "rte.json") == FOUND


@pytest.mark.parametrize(
    ("change", "field"),
    [({"texts": "many"}, "texts"), ({"more": 1}, "more"), ({"architectures": {"bert": {}}}, "architectures.bert.")],
)
def test_a_damaged_record_is_named_with_its_field_and_what_to_do(tmp_path, change, field):
    path = tmp_path / "rte.json"
    files.write_json(path, FOUND.model_dump(mode="json") | change)
    with pytest.raises(ValueError, match=rf"rte.json: {field}.*; delete it and run snakemake again"):
        measurements.read(path)
