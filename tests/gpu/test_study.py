"""A whole study whose jobs compute on a GPU."""

import os

import pandas as pd

from graft.io import files
from tests.conftest import study_values
from tests.workflow.conftest import snakemake


def test_a_study_on_a_gpu(pico_glue, pico_models, write_config, tmp_path):
    values = study_values(pico_glue, pico_models, launch={"device": "cuda"}, seeds=1)
    del values["tasks"]["rte"]
    for model in values["models"].values():
        del model["finetune"]["rte"]
    done = snakemake(tmp_path, write_config(values), "--cores", str(os.cpu_count()))
    assert done.returncode == 0, done.stdout[-5000:]
    root = tmp_path / "results/pico"
    comparison = pd.read_csv(root / "tables/comparison.csv")
    assert (comparison["n_seeds"] == 1).all() and not comparison[["n_missing", "n_failed"]].any(axis=None)
    cost = pd.read_csv(root / "tables/cost.csv")
    networks = cost[cost["parameters"] > 2]
    for measured in ("latency_p50_seconds", "inference_peak_memory_bytes", "energy_joules_per_example"):
        assert (networks[measured] > 0).all(), cost.to_string()
    records = [files.read_json(path) for path in (root / "runs").rglob("run.json")]
    assert records and all(record["provenance"]["hardware"]["gpu"] for record in records)
