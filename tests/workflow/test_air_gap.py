"""The recipe of docs/airgap.md, followed: download with a network, then compute where there is none."""

import re
import shlex
import shutil
import socket
import subprocess
import sys

import pandas as pd
import pytest

from tests.conftest import study_values
from tests.unit.hub import serving, write_rte
from tests.workflow.conftest import ROOT, environment

COMMIT = "a" * 40
NEW_NAMESPACE = ("unshare", "--net", "--map-root-user")
# Runs in the new network namespace: fails unless the hub, still serving outside, cannot be reached from it.
CUT_OFF = """
import os, socket, sys
from urllib.parse import urlparse
hub = urlparse(sys.argv[1])
try:
    socket.create_connection((hub.hostname, hub.port), timeout=5)
except OSError as error:
    print(f"cut off: {error}; interfaces: {[name for _, name in socket.if_nameindex()]}", flush=True)
else:
    raise SystemExit("the network is still there")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def recipe(heading: str) -> list[str]:
    """The words after `snakemake` of the one call under a heading of docs/airgap.md."""
    section = (ROOT / "docs" / "airgap.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (call,) = re.findall(r"^snakemake (.*)$", section, re.MULTILINE)
    return shlex.split(call)


def call(folder, config, words, endpoint, prefix=()) -> subprocess.CompletedProcess[str]:
    """One snakemake of the recipe on a machine of its own: a folder, and a cache of the hub, that no other has."""
    # No cluster is here: its profile is replaced by the one for a single machine.
    meant = {"config/my-study.yaml": str(config), "slurm": "profiles/local"}
    words = [meant.get(word, word) for word in words]
    words = [str(ROOT / word) if word == "profiles/local" else word for word in words]
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    return subprocess.run(
        [*prefix, *snakemake, "--directory", str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment() | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "cache")},
    )


def test_a_study_downloaded_elsewhere_ends_on_a_cluster_without_network(pico_glue, pico_models, write_config, tmp_path):
    refused = subprocess.run([*NEW_NAMESPACE, "true"], capture_output=True, text=True)
    if refused.returncode:
        pytest.skip(f"no network namespace can be made here: {refused.stderr.strip()}")
    write_rte(tmp_path / "hub" / "datasets" / "owner" / "glue" / "rte", pico_glue / "RTE")
    shutil.copytree(pico_models / "large", tmp_path / "hub" / "models" / "owner" / "large")
    values = study_values(pico_glue, pico_models, seeds=[0], include=["*/majority/*", "*/merge.theseus.transplant.*"])
    source = {"kind": "hub", "repo": "owner/glue", "config": "rte", "revision": COMMIT}
    values["tasks"] = {"rte": {"source": source, "limits": {"select": 40}}}
    values["models"]["large"]["source"] = {"kind": "hub", "repo": "owner/large", "revision": COMMIT}
    values["models"]["small"]["source"] = {
        "kind": "distilled",
        "teacher": "large",
        "shape": {"layers": 2, "width": 12, "heads": 4, "ffn": 24},
        "options": {"steps": 5, "max_tokens": 32, "start_texts": 64},
    }
    for model in values["models"].values():
        model["finetune"] = {"rte": model["finetune"]["rte"]}
    config = write_config(values)
    online, cluster = tmp_path / "online", tmp_path / "cluster"
    online.mkdir()
    with serving(tmp_path / "hub") as endpoint:
        done = call(online, config, recipe("On the machine with network"), endpoint)
        assert done.returncode == 0, done.stdout[-3000:]
        ran = {path.name for path in (online / "results" / "pico" / "logs").iterdir()}
        assert ran == {"download_task", "download_model"}, "nothing is trained on the machine with network"
        shutil.copytree(online / "results", cluster / "results")
        prefix = (*NEW_NAMESPACE, sys.executable, "-c", CUT_OFF, endpoint)
        done = call(cluster, config, recipe("On the cluster"), endpoint, prefix)
        with socket.create_connection(("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))):
            pass  # it was the namespace that cut off, not the hub that ended
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.startswith("cut off: ") and "interfaces: ['lo']" in done.stdout.splitlines()[0]
    assert "download_" not in done.stdout
    table = pd.read_csv(cluster / "results" / "pico" / "tables" / "comparison.csv")
    assert sorted(table["system"]) == ["majority", "merge.theseus.transplant.small-into-large", "search.merges"]
    assert (table["n_missing"] == 0).all() and table["mean"].notna().all()
