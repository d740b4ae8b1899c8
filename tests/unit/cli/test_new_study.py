import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from graft.cli import new_study
from graft.config import study as studies
from tests.conftest import write_tsv
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


def comments(path) -> list[str]:
    return [line.strip() for line in Path(path).read_text().split("\n\n", 1)[1].splitlines() if "#" in line]


def test_without_options_it_is_the_default_study_with_another_name_and_all_comments(folder):
    assert write("mine") == {**default(), "name": "mine"}
    assert comments("config/mine.yaml") == comments(ROOT / "config.yaml")
    assert "default study" not in Path("config/mine.yaml").read_text()


def test_own_tasks_and_models_keep_every_comment_of_the_default_study(folder, pico_glue, pico_models):
    tasks = [f"{name}={pico_glue / name.upper()}" for name in ("sst-2", "sts-b")]
    write("mine", tasks, str(pico_models / "large"), str(pico_models / "small"))
    lost = set(comments(ROOT / "config.yaml")) - set(comments("config/mine.yaml"))
    # Of the merge that asks for a projection, which a model of one's own rarely has.
    assert lost == {
        "# The same with the projection of the small model's own distillation as the residual stream's map."
    }


def test_own_tasks_take_the_place_of_the_default_ones(folder, pico_glue):
    values = write("mine", [f"reviews={pico_glue / 'SST-2'}", f"alike={pico_glue / 'STS-B'}"])
    assert values["tasks"] == {
        "reviews": {
            "source": {"kind": "tsv", "folder": str(pico_glue / "SST-2")},
            "text": ["sentence"],
            "label": "label",
            "labels": ["0", "1"],
            "metrics": ["accuracy", "f1"],
            "limits": {"select": 1000},
        },
        "alike": {
            "source": {"kind": "tsv", "folder": str(pico_glue / "STS-B")},
            "text": ["sentence1", "sentence2"],
            "label": "score",
            "metrics": ["correlation", "pearson", "spearman"],
            "limits": {"select": 1000},
        },
    }
    assert values["statistics"]["margins"] == {"reviews": 0.01, "alike": 0.01}
    assert values["keep"] == []
    large = default()["models"]["bert-base"]["finetune"]
    finetune = values["models"]["bert-base"]["finetune"]
    assert finetune == {"reviews": large["rte"], "alike": large["stsb"]}  # 240 rows are few
    assert {key: v for key, v in values["models"]["tinybert-4l"].items() if key != "finetune"} == {
        key: v for key, v in default()["models"]["tinybert-4l"].items() if key != "finetune"
    }


def test_what_was_guessed_stands_beside_the_guess(folder, pico_glue):
    write("mine", [f"reviews={pico_glue / 'SST-2'}"])
    lines = Path("config/mine.yaml").read_text().splitlines()
    guess = lines.index("    # Guessed from train.tsv; please check:")
    assert lines[guess + 1].startswith("    # text in sentence; label in label, 2 classes (0: ")
    assert lines[guess + 2] == "    text: [sentence]"


def test_a_large_task_is_fine_tuned_like_a_large_one(folder):
    rows = [[f"text {i}", i % 2] for i in range(new_study.SMALL_TASK)]
    for split in ("train", "dev"):
        write_tsv(folder / "big" / f"{split}.tsv", ["sentence", "label"], rows)
    values = write("mine", ["big=big"])
    expected = {**default()["models"]["tinybert-4l"]["finetune"]["sst2"], "max_tokens": 128}
    assert values["models"]["tinybert-4l"]["finetune"]["big"] == expected


def test_a_known_task_in_a_folder_needs_no_guess(folder, pico_glue):
    values = write("mine", [f"rte={pico_glue / 'RTE'}"])
    assert set(values["tasks"]["rte"]) == {"source", "limits"}
    assert values["statistics"]["margins"] == {"rte": 0.03}
    assert values["models"]["bert-base"]["finetune"] == {"rte": default()["models"]["bert-base"]["finetune"]["rte"]}


def test_an_own_pair_takes_the_place_of_the_default_one(folder, pico_models):
    values = write("mine", large=f"Owner/Big.BERT@{COMMIT}", small=str(pico_models / "small"))
    assert values["pairs"] == [{"large": "big.bert", "small": "small"}]
    assert values["models"]["big.bert"]["source"] == {"kind": "hub", "repo": "Owner/Big.BERT", "revision": COMMIT}
    small = values["models"]["small"]
    assert small["source"] == {"kind": "path", "folder": str(pico_models / "small")}
    assert small["tokenizer"] == "big.bert"
    # As the default's of the same role, but no longer than the pico model's 64 positions.
    theirs = default()["models"]["tinybert-4l"]["finetune"]
    assert small["finetune"] == {task: {**row, "max_tokens": 64} for task, row in theirs.items()}
    assert values["models"]["big.bert"]["finetune"] == default()["models"]["bert-base"]["finetune"]


def test_control_models_are_like_the_own_small_one(folder, pico_models):
    models = write("mine", small=str(pico_models / "small"))["models"]
    theirs = default()["models"]
    for name in ("untrained", "undistilled"):
        assert models[name] == {**theirs[name], "source": {**theirs[name]["source"], "like": "small"}}
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
    one, both = write("mine", [f"reviews={reviews}"]), write("both", [f"reviews={reviews}", f"others={reviews}"])
    assert "multitask" not in one["systems"] and "wrong-task" not in one["systems"]["control"]
    assert "multitask" in both["systems"] and "wrong-task" in both["systems"]["control"]


@pytest.mark.parametrize("method", ["theseus", "logit_ensemble"])
def test_methods_that_are_not_asked_for_go_with_their_comments(folder, method):
    values = write("mine", methods=[method])
    assert values["systems"]["merge"] == {method: default()["systems"]["merge"][method]}
    others = {"merge", "control", *new_study.RIVALS}
    assert others <= default()["systems"].keys()
    assert {k: v for k, v in values["systems"].items() if k not in ("merge", "control")} == {
        k: v for k, v in default()["systems"].items() if k not in others
    }
    assert "# The floor: tensors of one name, zero-padded, averaged. Expect chance." not in comments("config/mine.yaml")


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
    expected = default()["systems"]["control"]
    for control in ("shuffled", "random", "wrong-task", "other-small"):
        settings = expected.pop(control)
        if of:
            expected[control] = {**settings, "of": of.get(control, of["shuffled"])}
    values = write("mine", methods=methods)
    assert values["systems"]["control"] == expected
    # Small models that no control is left for are not made.
    assert len(values["models"]) == (4 if of else 2)


def test_a_method_that_the_default_study_lacks_is_added(folder):
    text = (ROOT / "config.yaml").read_text().replace("    interpolate: {trials: 20}\n", "")
    written = new_study.config_text(new_study.ask("mine", methods=["interpolate"]), text)
    assert yaml.safe_load(written)["systems"]["merge"] == {"interpolate": {}}


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
        ({"tasks": ["reviews"]}, "--task reviews: use NAME=FOLDER"),
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
        ("graded", "--kind graded: use classes or score, or NAME=score for one --task NAME=FOLDER"),
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
    assert "reviews: text in sentence; label in label, 2 classes" in done.stdout
    assert [shlex.split(line)[:5] for line in done.stdout.splitlines()[-2:]] == [
        ["python", "-m", "graft", "run", "config/mine.yaml"]
    ] * 2
