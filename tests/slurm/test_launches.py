"""The arguments of sbatch for fine-tunings of every shape, which then train on the cluster as they should."""

import re
from pathlib import Path

import pytest

from graft.io import files
from tests.slurm.cluster import ACCOUNT
from tests.slurm.conftest import ROOT, Study

GOLDEN = Path(__file__).parent / "golden"
# Per node GPUs, and nodes.
SHAPES = {"1-gpu": (1, 1), "4-gpus": (4, 1), "2-nodes-of-2-gpus": (2, 2)}


def asked(study: Study) -> str:
    """The options of the one sbatch call for the fine-tuning, without what differs between two runs."""
    (call,) = [line for line in study.calls.read_text().splitlines() if re.search(r"--comment \S*finetune_model", line)]
    options = call.split(" --wrap=")[0]
    for pattern, put in (
        (re.escape(str(study.folder)), "FOLDER"),
        (r"--job-name \S+", "--job-name RUN"),
        (re.escape(str(ROOT)), "ROOT"),
    ):
        options = re.sub(pattern, put, options)
    return options.replace(" --", "\n--").replace(" -", "\n-").replace("\n\n", "\n") + "\n"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_finetuning_asks_for_its_gpus_and_trains_in_as_many_processes(cluster, values, tmp_path, shape):
    gpus, nodes = SHAPES[shape]
    study = Study(tmp_path, values(1, launch={"gpus": gpus, "nodes": nodes}))
    resources = ("finetune_model:mem_mb=4000", f"finetune_model:slurm_account={ACCOUNT}")
    study.run("--set-resources", *resources, "--until", "finetune_model")
    build = files.read_json(study.results / "runs/sst2/finetune.large/seed-0/build.json")
    assert build["hyperparameters"]["processes"] == gpus * nodes
    assert asked(study) == (GOLDEN / f"{shape}.txt").read_text()
    (report,) = (study.folder / ".snakemake/slurm_efficiency").glob("*.csv")
    assert "finetune_model" in report.read_text()
