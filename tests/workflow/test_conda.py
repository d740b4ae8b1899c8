"""`--sdm conda`: each job in the Python of its own environment, or in none."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import study_values
from tests.workflow.conda import Conda
from tests.workflow.conftest import ROOT, command, environment
from tests.workflow.test_environments import ENVIRONMENTS

NOT_CLONED = (".git", ".venv", ".snakemake", ".pytest_cache", ".ruff_cache", "__pycache__", "results")


def start(folder: Path, config: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(folder, config, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment() | variables,
    )


def run(folder: Path, config: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit status, and all that was said."""
    process = start(folder, config, *arguments, **variables)
    said, _ = process.communicate()
    return process.returncode, said


def with_conda(folder: Path, config: Path, conda: Conda, *arguments: str) -> tuple[int, str]:
    return run(folder, config, "--software-deployment-method", "conda", *arguments, PATH=conda.path())


@pytest.fixture(scope="module")
def config(pico_glue, pico_models, tmp_path_factory) -> Path:
    values = study_values(pico_glue, pico_models, seeds=[0], include=["*/finetune.*"])
    values["tasks"] = {"sst2": values["tasks"]["sst2"]}
    for model in values["models"].values():
        model["finetune"] = {"sst2": model["finetune"]["sst2"]}
    path = tmp_path_factory.mktemp("config") / "study.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory) -> tuple[Path, Conda]:
    """A study whose jobs ran in conda environments, and that conda."""
    folder = tmp_path_factory.mktemp("study")
    conda = Conda.at(tmp_path_factory.mktemp("conda") / "root")
    status, said = with_conda(folder, config, conda)
    assert status == 0, said[-3000:]
    return folder, conda


def test_each_rule_runs_in_the_python_of_its_own_environment(finished):
    folder, conda = finished
    own = {rule: environment for environment, rules in ENVIRONMENTS.items() for rule in rules}
    programs = [(where, site, module) for where, site, module in conda.ran() if module != "pip"]
    for where, site, module in programs:
        assert (where, site) == (own[module.removeprefix("workflow_scripts.")], "1"), module
    ran = [module.removeprefix("workflow_scripts.") for _, _, module in programs]
    logs = folder / "results/pico/logs"
    written = [log.relative_to(logs).parts[0].removesuffix(".log") for log in logs.rglob("*.log")]
    # An evaluation has its own log, but is done by the fine-tuning's program.
    assert sorted(ran) == sorted(rule for rule in written if rule in own) and "evaluate" in written
    assert {where for where, _, _ in programs} == set(ENVIRONMENTS) and len(ran) > 10
    # What the post-deploy scripts bring.
    assert {where for where, _, module in conda.ran() if module == "pip"} == {"head", "analysis"}


def test_switching_conda_off_or_a_comment_in_its_files_runs_nothing_again(finished, config, tmp_path):
    folder, conda = finished
    assert "Nothing to be done" in run(folder, config, "--dry-run")[1]
    clone = shutil.copytree(ROOT, tmp_path / "clone", symlinks=True, ignore=shutil.ignore_patterns(*NOT_CLONED))
    for file in (clone / "envs").glob("*.yaml"):
        file.write_text(f"# A comment.\n{file.read_text()}")
    said = with_conda(folder, config, conda, "--dry-run", "--snakefile", str(clone / "Snakefile"))[1]
    assert "head.yaml will be created" in said and "Nothing to be done" in said


def test_a_job_outside_of_its_environment_is_refused_and_tables_need_no_python_on_the_path(config, tmp_path):
    conda = Conda.at(tmp_path / "conda")
    conda.break_activation()
    commands = tmp_path / "commands"
    commands.mkdir()
    for file in (*Path("/bin").iterdir(), *Path("/usr/bin").iterdir()):
        if not file.name.startswith(("python", "conda")) and not (commands / file.name).is_symlink():
            (commands / file.name).symlink_to(file)
    status, said = run(tmp_path, config, "--software-deployment-method", "conda", PATH=conda.path(str(commands)))
    assert status == 1
    assert f"conda did not activate the environment of this job in {tmp_path}/.snakemake/conda; call" in said
    assert {module for _, _, module in conda.ran()} == {"pip"}
    assert (tmp_path / "results/pico/tables/comparison.csv").is_file(), said[-3000:]


def test_two_studies_that_build_environments_in_one_folder_take_turns(config, tmp_path):
    conda = Conda.at(tmp_path / "conda", seconds=0.5)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(config.read_text()) | {"name": "other"}))
    asked = ("--software-deployment-method", "conda", "--conda-create-envs-only")
    both = [start(tmp_path, path, *asked, PATH=conda.path()) for path in (config, other)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(conda.created()) == sorted(ENVIRONMENTS)
    assert any(re.search("waiting for another snakemake", text) for text in said)
