import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from graft.cli import new_study
from graft.config import study as studies
from graft.config import written
from graft.registry import hyperparameters, standard
from graft.study.grid import Grid
from graft.study.steps.evaluate import evaluation
from graft.study.steps.graph import job_fingerprint, jobs_of
from graft.tasks.tsv import read_tsv
from tests.conftest import VOCABULARY, write_bert, write_tsv
from tests.unit.families import write_pico
from tests.unit.hub import HEAD, serving

ROOT = Path(__file__).parents[3]
COMMIT = "a" * 40


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*arguments, **options) -> dict:
    """The values of the config that is written."""
    path, _ = new_study.write(new_study.ask(*arguments, **options))
    assert studies.load(path)
    return yaml.safe_load(path.read_text())


def default() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def planned(values: dict) -> Grid:
    return Grid(studies.parse(values))


def systems(values: dict) -> dict:
    """What the systems of a config are, written out."""
    return written.shortest(studies.parse(values))["systems"]


def test_with_all_systems_it_is_the_default_study_with_another_name(folder):
    mine, theirs = planned(write("mine", full=True)), planned(default())
    assert [run.id for run in mine.runs] == [run.id for run in theirs.runs]
    # The same work to the last setting.
    assert [job_fingerprint(mine, job) for job in jobs_of(mine)] == [
        job_fingerprint(theirs, job) for job in jobs_of(theirs)
    ]
    assert {task: mine.study.margin(task) for task in mine.study.tasks} == default()["statistics"]["margins"]


def test_a_new_study_has_three_seeds_of_the_first_systems_and_keeps_no_model(folder, pico_glue):
    values = write("mine", [f"reviews={pico_glue / 'SST-2'}"])
    assert values["systems"]["standard"] == "first" and values["seeds"] == 3 and values["keep"] == []
    named = {run.system.name.rsplit(".", 1)[0] for run in planned(values).runs}
    assert named == {
        *("finetune", "majority", "probe.mean", "probe.layers", "budget.new.1-8", "budget.new.1-4"),
        *("merge.logit_ensemble", "merge.stitch", "merge.functional.labelled"),
        *("control.head-only.labelled", "control.shuffled.functional.labelled"),
    }


@pytest.mark.parametrize("own", [True, False])
def test_one_word_makes_the_first_study_the_full_one_which_makes_nothing_again(folder, pico_glue, pico_models, own):
    pair = [str(pico_models / role) for role in ("large", "small")] if own else []
    tasks = [f"reviews={pico_glue / 'SST-2'}"] if own else []
    first, full = write("mine", tasks, *pair), write("full", tasks, *pair, full=True, seeds=3)
    widened = Path("config/mine.yaml").read_text().replace("standard: first", "standard: full")
    Path("config/wide.yaml").write_text(widened)
    wide, ours = Grid(studies.load("config/wide.yaml")), planned(first)
    assert [run.id for run in wide.runs] == [run.id for run in planned(full).runs]
    made = {run.id: evaluation(run).fingerprint(wide) for run in wide.runs}
    assert {run.id: evaluation(run).fingerprint(ours) for run in ours.runs}.items() <= made.items()
    # The config says so.
    assert "full: all of the default study; results stay.\nsystems:" in widened


def test_a_config_of_a_new_study_is_shorter_than_forty_lines(folder, pico_glue, pico_models):
    pair = [str(pico_models / role) for role in ("large", "small")]
    write("default")
    write("everything", [f"reviews={pico_glue / 'SST-2'}"], *pair, full=True)
    write("first", [f"reviews={pico_glue / 'SST-2'}"], *pair)
    write("one", [f"reviews={pico_glue / 'SST-2'}"], *pair, methods=["theseus"], seeds=2)
    lengths = {path.stem: len(path.read_text().splitlines()) for path in Path("config").glob("*.yaml")}
    assert len(lengths) == 4 and max(lengths.values()) < 40, lengths


def test_own_tasks_take_the_place_of_the_default_ones(folder, pico_glue):
    values = write("mine", [f"reviews={pico_glue / 'SST-2'}", f"alike={pico_glue / 'STS-B'}"])
    assert values["tasks"] == {
        "reviews": {
            "source": {"kind": "tsv", "folder": str(pico_glue / "SST-2")},
            "text": ["sentence"],
            "label": "label",
            "labels": ["0", "1"],
            "metrics": ["accuracy", "f1"],
        },
        "alike": {
            "source": {"kind": "tsv", "folder": str(pico_glue / "STS-B")},
            "text": ["sentence1", "sentence2"],
            "label": "score",
            "metrics": ["correlation", "pearson", "spearman"],
        },
    }
    assert values["keep"] == []
    # As for an accuracy and a correlation of 0.8, in whole points.
    rows = {
        name: len(read_tsv(pico_glue / folder / "dev.tsv"))
        for name, folder in (("reviews", "SST-2"), ("alike", "STS-B"))
    }
    errors = {"reviews": (0.16 / rows["reviews"]) ** 0.5, "alike": 0.36 / rows["alike"] ** 0.5}
    margins = values["statistics"]["margins"]
    assert all(0 <= margins[name] - error < 0.01 for name, error in errors.items()), (margins, errors)


def test_own_tasks_and_models_have_hyperparameters_of_their_widths_and_rows(folder, pico_glue, pico_models):
    values = write("mine", [f"reviews={pico_glue / 'SST-2'}"], small=str(pico_models / "small"))
    rows = len(read_tsv(pico_glue / "SST-2" / "train.tsv"))
    width = json.loads((pico_models / "small" / "config.json").read_text())["hidden_size"]
    for model, wide, tokens in (("bert-base", 768, 128), ("small", width, 64)):
        expected = hyperparameters.finetuning(wide, rows) | {"max_tokens": tokens}
        assert values["models"][model]["finetune"] == {"reviews": expected}
    options = values["models"]["undistilled"]["source"]["options"]
    assert options == {"steps": hyperparameters.masked_steps(rows)}


def test_what_was_guessed_stands_above_the_tasks(folder, pico_glue):
    write("mine", [f"reviews={pico_glue / 'SST-2'}"])
    lines = Path("config/mine.yaml").read_text().splitlines()
    guess = lines[lines.index("tasks:") - 1]
    assert guess.startswith("# reviews: ") and "text in sentence; label in label, 2 classes (0: " in guess


def test_a_known_task_in_a_folder_needs_no_guess(folder, pico_glue):
    values = write("mine", [f"rte={pico_glue / 'RTE'}"])
    assert set(values["tasks"]["rte"]) == {"source"} and "statistics" not in values
    assert studies.parse(values).margin("rte") == 0.03
    assert values["models"]["bert-base"]["finetune"] == {"rte": default()["models"]["bert-base"]["finetune"]["rte"]}


def test_an_own_pair_takes_the_place_of_the_default_one(folder, pico_models):
    values = write("mine", large=f"Owner/Big.BERT@{COMMIT}", small=str(pico_models / "small"))
    assert values["pairs"] == [{"large": "big.bert", "small": "small"}]
    assert values["models"]["big.bert"]["source"] == {"kind": "hub", "repo": "Owner/Big.BERT", "revision": COMMIT}
    small = values["models"]["small"]
    assert small["source"] == {"kind": "path", "folder": str(pico_models / "small")}
    assert small["tokenizer"] == "big.bert"
    # No longer than the pico model's 64 positions; a model that only the hub has is taken for one like the default's.
    assert {row["max_tokens"] for row in small["finetune"].values()} == {64}
    assert values["models"]["big.bert"]["finetune"]["rte"] == {
        **hyperparameters.finetuning(768, 2490),
        "max_tokens": 128,
    }


def test_an_own_pair_of_two_vocabularies_reads_two(folder, pico_models):
    write_bert(folder / "other", layers=2, width=12, heads=2, seed=0, vocabulary=[*VOCABULARY, "word"])
    models = write("mine", large=str(pico_models / "large"), small=str(folder / "other"))["models"]
    assert "tokenizer" not in models["other"]
    models = write("more", large=str(pico_models / "large"), small=str(pico_models / "small"))["models"]
    assert models["small"]["tokenizer"] == "large"


def test_methods_that_refuse_an_own_pair_are_left_out(folder):
    models = {
        "large": str(write_pico(folder / "large", "modernbert", "large")),
        "small": str(write_pico(folder / "small", "bert")),
    }
    merges = systems(write("mine", full=True, **models))["merge"]
    assert {"functional", "spacewise", "stitch"} <= merges.keys() and not {"interpolate", "grow"} & merges.keys()
    assert {"interpolate", "grow"} <= systems(write("more", full=True, small=models["small"]))["merge"].keys()
    with pytest.raises(ValueError, match="grow.*: a block cannot hold one of the other kind; leave grow out"):
        write("asked", methods=["grow"], **models)


def test_control_models_are_like_the_own_small_one(folder, pico_models):
    models = write("mine", small=str(pico_models / "small"))["models"]
    theirs = default()["models"]
    for name in ("untrained", "undistilled"):
        assert models[name]["source"]["like"] == "small" and models[name]["role"] == theirs[name]["role"]
    with_name = write("named", small=f"owner/Untrained@{COMMIT}")
    assert with_name["pairs"] == [{"large": "large", "small": "small"}]
    assert with_name["models"]["untrained"]["source"]["like"] == "small"


def test_one_own_model_leaves_the_other_as_it_is(folder):
    values = write("mine", small=f"owner/tiny@{COMMIT}")
    assert values["pairs"] == [{"large": "bert-base", "small": "tiny"}]
    assert values["models"]["bert-base"] == default()["models"]["bert-base"]


def test_two_models_of_one_name_are_called_by_their_roles(folder):
    values = write("mine", large=f"a/bert@{COMMIT}", small=f"b/BERT@{COMMIT}")
    assert values["pairs"] == [{"large": "large", "small": "small"}]


def test_one_task_alone_has_no_encoder_of_all_tasks_and_no_wrong_task(folder, pico_glue):
    reviews = pico_glue / "SST-2"
    one = write("mine", [f"reviews={reviews}"], full=True)
    both = write("both", [f"reviews={reviews}", f"others={reviews}"], full=True)
    alone, several = systems(one), systems(both)
    assert "multitask" not in alone and "wrong-task" not in alone["control"]
    assert "multitask" in several and "wrong-task" in several["control"]


@pytest.mark.parametrize("method", ["theseus", "logit_ensemble"])
def test_methods_that_are_not_asked_for_go(folder, method):
    mine, theirs = write("mine", methods=[method], full=True)["systems"], systems(default())
    assert mine["merge"] == {method: {k: v for k, v in theirs["merge"][method].items() if k != "heads"}}
    others = {"merge", "control", *new_study.RIVALS}
    assert others <= theirs.keys()
    assert {k: v for k, v in mine.items() if k not in ("merge", "control")} == {
        k: v for k, v in theirs.items() if k not in others
    }


def test_methods_that_are_asked_for_take_the_place_of_the_first_merges(folder):
    values = write("mine", methods=["theseus", "stitch"])
    mine, theirs = values["systems"], systems(write("first"))
    theseus = {"heads": ["labelled"], "strengths": [0, 0.5, 1, 2, 4, 6]}
    assert mine.pop("merge") == {"stitch": {}, "theseus": theseus}
    theirs["control"]["shuffled"]["of"] = ["theseus"]
    del theirs["merge"]
    assert mine == theirs and values["seeds"] == 3 and len(values["models"]) == 2


@pytest.mark.parametrize(
    ("methods", "of"),
    [
        (
            ["functional", "theseus"],
            {"shuffled": ["theseus", "functional"], "wrong-task": ["functional"], "other-small": ["functional"]},
        ),
        (["theseus", "spacewise", "interpolate"], {"shuffled": ["theseus", "spacewise"]}),
        (["interpolate"], None),
    ],
)
def test_controls_are_those_of_the_methods_that_are_asked_for(folder, methods, of):
    expected = systems(default())["control"]
    for control in ("shuffled", "random", "wrong-task", "other-small"):
        settings = expected.pop(control)
        if of:
            expected[control] = {**settings, "of": of.get(control, of["shuffled"])}
    values = write("mine", methods=methods, full=True)
    assert values["systems"]["control"] == expected
    # Small models that no control is left for are not made.
    assert len(values["models"]) == (4 if of else 2)


def test_a_method_that_the_default_study_lacks_is_added(folder, monkeypatch):
    without = {key: value for key, value in standard.FULL["merge"].items() if key != "interpolate"}
    monkeypatch.setattr(standard, "FULL", {**standard.FULL, "merge": without})
    assert write("mine", methods=["interpolate"])["systems"]["merge"] == {"interpolate": {}}


def test_seeds_are_counted(folder):
    assert write("mine", seeds=3)["seeds"] == 3


def test_names_that_yaml_would_read_as_something_else_stay_names(folder, pico_glue):
    values = write("123", [f"null={pico_glue / 'SST-2'}"])
    assert values["name"] == "123" and list(values["tasks"]) == ["null"]


def test_a_config_that_is_there_is_not_overwritten(folder):
    write("mine")
    before = Path("config/mine.yaml").read_text()
    with pytest.raises(ValueError, match="config/mine.yaml already exists; choose another name"):
        write("mine", seeds=1)
    assert Path("config/mine.yaml").read_text() == before


def broken_task(folder: Path, dev: str = "sentence\tlabel\na film\tgood\na plot\tbad\n") -> str:
    (folder / "broken").mkdir()
    (folder / "broken" / "train.tsv").write_text("sentence\tlabel\na film\tgood\na plot\tbad\n")
    (folder / "broken" / "dev.tsv").write_text(dev)
    return "x=broken"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../mine"}, "'../mine' is not a name: names match"),
        ({"name": "glue"}, "glue is the default study, config.yaml; choose another name"),
        ({"methods": ["thesaurus"]}, "no merge method is called 'thesaurus'; available:"),
        ({"seeds": 0}, "seeds: 0; give a list, or a whole number from 1 to 1000"),
        ({"tasks": ["reviews"]}, "--task reviews: use NAME=PATH, e.g. reviews=data/reviews.csv, or one of cola"),
        ({"tasks": ["My Reviews=."]}, "'My Reviews' is not a name"),
        ({"tasks": ["reviews=none"]}, "tasks.reviews.source.folder: none is not a folder"),
        ({"tasks": ["reviews=."]}, "train.tsv is missing; the folder needs train.tsv and dev.tsv"),
        ({"large": "no/such/folder"}, "--large: no/such/folder is neither a folder here nor a name on the hub"),
        ({"small": "."}, "config.json is missing"),
    ],
)
def test_what_cannot_be_is_reported_in_one_sentence_and_nothing_is_written(folder, options, message):
    with pytest.raises(ValueError, match=message) as error:
        write(**{"name": "mine", **options})
    assert len(str(error.value).splitlines()) == 1
    assert not Path("config").exists()


@pytest.mark.parametrize(
    ("dev", "message"),
    [
        ("sentence\tlabel\na film\tugly\n", "dev.tsv: row 1 has the label 'ugly'; it should be one of bad, good"),
        ("sentence\na film\n", "dev.tsv: no label column 'label'"),
        (
            "sentence\tlabel\na film\t1\na song\t0\n",
            r"dev.tsv: the label column label contains '0', but train has names \(bad, good\); write the labels alike",
        ),
    ],
)
def test_a_dev_split_that_does_not_fit_is_reported_now(folder, dev, message):
    with pytest.raises(ValueError, match=message):
        write("mine", [broken_task(folder, dev)])


def test_a_task_given_twice_is_refused(folder):
    task = broken_task(folder)
    with pytest.raises(ValueError, match="x, x names a task twice"):
        write("mine", [task, task])


def labels_task(folder: Path, name: str, labels: list) -> str:
    for split in ("train", "dev"):
        rows = [[f"text number {i} is here", label] for i, label in enumerate(labels)]
        write_tsv(folder / name / f"{split}.tsv", ["sentence", "label"], rows)
    return f"{name}={name}"


def test_the_kind_of_labels_is_asked_for_where_it_is_in_doubt(folder):
    stars = labels_task(folder, "stars", [*range(30)] * 3)
    with pytest.raises(ValueError, match="contains 30 different whole numbers from 0 to 29"):
        write("mine", [stars])
    tasks = [stars, labels_task(folder, "moods", [-1, 0, 1] * 9), labels_task(folder, "marks", [1.5, 2, 3] * 9)]
    values = write("mine", tasks, kinds=["stars=score", "moods=classes"])["tasks"]
    assert "labels" not in values["stars"] and "labels" not in values["marks"]
    assert values["moods"]["labels"] == ["-1", "0", "1"]
    assert write("every", tasks, kinds=["classes"])["tasks"]["marks"]["labels"] == ["1.5", "2", "3"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("graded", "--kind graded: use classes or score, or NAME=score for one --task NAME=PATH"),
        ("others=score", "--kind others=score: use classes"),
        ("rte=score", "--kind rte: a known task has classes; give the task another name"),
    ],
)
def test_a_kind_that_cannot_be_is_reported(folder, pico_glue, kind, message):
    with pytest.raises(ValueError, match=message):
        write("mine", [f"rte={pico_glue / 'RTE'}"], kinds=[kind])


def graft(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graft", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def hub(folder):
    (folder / "hub" / "models" / "owner" / "tiny").mkdir(parents=True)
    with serving(folder / "hub") as endpoint:
        yield endpoint


@pytest.mark.parametrize("name", ["owner/tiny", "owner/tiny@main"])
def test_a_hub_name_without_a_commit_is_pinned_to_the_one_of_today(hub, name):
    done = graft("new", "mine", "--small", name, HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    source = yaml.safe_load(Path("config/mine.yaml").read_text())["models"]["tiny"]["source"]
    assert source == {"kind": "hub", "repo": "owner/tiny", "revision": HEAD}


@pytest.mark.parametrize(("name", "offline"), [("owner/none", "0"), ("owner/tiny", "1")])
def test_a_commit_that_the_hub_does_not_tell_is_asked_of_the_user(hub, name, offline):
    done = graft("new", "mine", "--large", name, HF_ENDPOINT=hub, HF_HUB_OFFLINE=offline)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert f"give a folder, or {name}@COMMIT with all 40 hex digits" in done.stderr
    assert not Path("config").exists()


def test_the_command_says_what_to_type_next(folder, pico_glue):
    done = graft("new", "mine", "--task", f"reviews={pico_glue / 'SST-2'}", "--method", "theseus", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0].startswith("reviews: ") and "text in sentence; label in label, 2 classes" in told[0]
    # Three rows as they were understood.
    assert [line.rsplit(" → ", 1)[1] in "01" for line in told[2:5]] == [True] * 3
    assert [shlex.split(line) for line in told[-2:]] == [
        ["python", "-m", "graft", command, "config/mine.yaml"] for command in ("plan", "run")
    ]
    # Without methods, how to get all systems.
    last = graft("new", "others").stdout.splitlines()[-1]
    assert last.startswith("For all systems of the default study write `standard: full` there")
