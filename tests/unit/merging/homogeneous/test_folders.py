import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from huggingface_hub import metadata_load
from tokenizers import Tokenizer

from graft.compute import ending
from graft.merging.homogeneous import folders
from graft.merging.homogeneous.fisher import FISHER
from graft.merging.homogeneous.folders import Order, merge
from graft.merging.homogeneous.regmean import GRAM
from tests.unit.encoders.test_adapters import adapted
from tests.unit.families import write_pico
from tests.unit.merging.homogeneous import making


@pytest.fixture
def world(tmp_path):
    """A base, two models made from it, and statistics of both."""
    base = making.tensors(0)
    making.write(tmp_path / "base", base)
    for name, seed in (("one", 1), ("two", 2)):
        making.write(tmp_path / name, making.tensors(seed, 0.1, base))
        for kind in (FISHER, GRAM):
            making.statistics(tmp_path / kind / name, kind, seed)
    return tmp_path


@pytest.fixture
def order(world):
    def make(**changes):
        values = {
            "method": "ties",
            "models": (world / "one", world / "two"),
            "base": world / "base",
            "out": world / "merged",
        }
        return Order(**{**values, **changes})

    return make


def test_the_folder_has_config_tokenizer_card_and_provenance(order, world):
    merge(order(weights=(1.0, 3.0)), making.quiet)
    out = world / "merged"
    assert {file.name for file in out.iterdir()} == {
        "README.md", "config.json", "graft.json", "model.safetensors", "tokenizer.json", "vocab.txt",
    }  # fmt: skip
    made = json.loads((out / "graft.json").read_text())
    assert made["method"] == "ties" and made["strength"] == 1 and made["weights"] == [1, 3]
    assert made["options"] == {"density": 0.2, "scope": "model"} and made["parameters"] == 117
    for role, name in (("base", "base"), ("model 1", "one"), ("model 2", "two")):
        digest = folders.files.sha256(world / name / "model.safetensors")
        assert made["sources"][role] == {"folder": str(world / name), "sha256": {"model.safetensors": digest}}
    card = (out / "README.md").read_text()
    assert metadata_load(out / "README.md") == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["merge", "graft", "ties"],
    }
    assert digest[:16] in card and "weights 1, 3" in card


def test_the_labels_are_those_of_the_models(order, world):
    making.write(world / "unnamed", making.read(world / "base"), labels=())
    merge(order(base=world / "unnamed"), making.quiet)
    assert json.loads((world / "merged" / "config.json").read_text())["id2label"] == {"0": "no", "1": "yes"}


@pytest.fixture
def tasks(world):
    """Two models made from the base whose heads are for different tasks; the base has no head."""
    bare = {name: tensor for name, tensor in making.read(world / "base").items() if not name.startswith("classifier")}
    making.write(world / "bare", bare)
    for name, labels in (("three", ("a", "b", "c")), ("five", tuple("vwxyz"))):
        head = {"classifier.weight": np.float32(np.random.default_rng(len(labels)).standard_normal((len(labels), 5)))}
        head["pooler.dense.weight"] = np.full((5, 5), len(labels), np.float32)
        making.write(world / name, making.tensors(len(labels), 0.1, making.read(world / "base")) | head, labels=labels)
    return {"models": (world / "three", world / "five"), "base": world / "bare"}


@pytest.mark.parametrize("method", ["ties", "uniform", "model_stock"])
def test_heads_of_different_tasks_are_kept_apart(method, order, world, tasks):
    with pytest.raises(ValueError, match=r"classifier.weight is .*; must be one shape, or keep one model's head"):
        merge(order(**tasks, method=method), making.quiet)
    plan = merge(order(**tasks, method=method, no_head=True, out=world / "none"), making.quiet)
    assert "head: none\nleft out, heads, and what not all models have: classifier.weight" in folders.summary(plan)
    none = making.read(world / "none")
    assert set(none) == {*making.read(world / "bare"), "pooler.dense.weight"}
    for number, name in ((1, "three"), (2, "five")):
        plan = merge(order(**tasks, method=method, head_of=number, out=world / f"of-{name}"), making.quiet)
        assert f"head: model {number}'s" in folders.summary(plan)
        found, given = making.read(world / f"of-{name}"), making.read(world / name)
        for head in ("classifier.weight", "pooler.dense.weight"):
            assert found[head].tobytes() == given[head].tobytes()
        assert all(np.array_equal(found[plain], none[plain]) for plain in making.read(world / "bare"))
        config = json.loads((world / f"of-{name}" / "config.json").read_text())
        labels = json.loads((world / name / "config.json").read_text())["id2label"]
        assert config["id2label"] == labels and config["architectures"] == ["BertForSequenceClassification"]
    without_head = json.loads((world / "none" / "config.json").read_text())
    assert not {"id2label", "label2id", "architectures"} & set(without_head)
    assert "text-classification" not in (world / "none" / "README.md").read_text()


def test_statistics_of_heads_that_are_not_merged_are_not_needed(order, world):
    for kind, method in ((FISHER, "fisher"), (GRAM, "regmean")):
        given = {"method": method, "statistics": (world / kind / "one", world / kind / "two")}
        merge(order(**given, head_of=2, out=world / method), making.quiet)
        merge(order(**given, out=world / f"{method}-whole"), making.quiet)
        apart, whole = making.read(world / method), making.read(world / f"{method}-whole")
        two = making.read(world / "two")["classifier.weight"]
        assert apart["classifier.weight"].tobytes() == two.tobytes()
        # A model's Fisher values are divided by their norm, which has the head's in it if heads are merged.
        assert method == "fisher" or making.same(apart, whole | {"classifier.weight": two})


def test_another_dtype_is_that_of_weights_and_config(order, world):
    merge(order(dtype="float16"), making.quiet)
    merge(order(out=world / "wide"), making.quiet)
    half, wide = making.read(world / "merged"), making.read(world / "wide")
    for name, tensor in wide.items():
        expected = tensor if name == "position_ids" else tensor.astype(np.float16)
        assert half[name].dtype == expected.dtype and np.array_equal(half[name], expected)
    config = json.loads((world / "merged" / "config.json").read_text())
    assert config["dtype"] == "float16" and "torch_dtype" not in config


def test_models_may_be_stored_in_other_dtypes_than_the_base(order, world):
    half = {
        name: t.astype(np.float16) if t.dtype == np.float32 else t for name, t in making.read(world / "one").items()
    }
    making.write(world / "half", half)
    widened = {name: t.astype(np.float32) if t.dtype == np.float16 else t for name, t in half.items()}
    making.write(world / "widened", widened)
    one, other = (
        making.merged(world / f"of-{name}", "task_arithmetic", (world / name, world / "two"), world / "base")
        for name in ("half", "widened")
    )
    assert making.same(one, other)


def test_float64_is_merged_in_float64(order, world):
    values = {"layer.weight": np.array([[1.0, 2], [3, 4]]) / 3}
    for name in ("a", "b"):
        making.write(world / name, values)
    assert making.same(making.merged(world / "out", "uniform", (world / "a", world / "b")), values)


def test_a_dry_run_checks_everything_and_writes_nothing(order, world):
    plan = merge(order(max_shard_size="200B"), making.quiet, dry_run=True)
    assert (plan.tensors, plan.parameters, plan.bytes, len(plan.files)) == (8, 117, 488, 3)
    assert not (world / "merged").exists() and not list(world.glob(".*"))
    with pytest.raises(ValueError, match="must be one shape"):
        merge(order(models=(changed(world, **{"layer.bias": np.zeros(4, np.float32)}),)), making.quiet, dry_run=True)


def changed(world, **tensors):
    """A model with other tensors; None takes one away."""
    values = making.read(world / "one") | tensors
    kept = {name: np.asarray(tensor) for name, tensor in values.items() if tensor is not None}
    return making.write(world / "changed", kept)


def damaged(world, value, name="layer.weight", model="one"):
    values = making.read(world / model)
    values[name].reshape(-1)[3] = value
    return making.write(world / "damaged", values)


def truncated(world):
    shutil.copytree(world / "one", world / "cut")
    file = world / "cut" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    return world / "cut"


def configured(world, **changes):
    shutil.copytree(world / "one", world / "configured")
    config = json.loads((world / "configured" / "config.json").read_text()) | changes
    (world / "configured" / "config.json").write_text(json.dumps(config))
    return world / "configured"


def without(world, file):
    shutil.copytree(world / "one", world / "without")
    (world / "without" / file).unlink()
    return world / "without"


def words(world, *vocabulary):
    return making.write(world / "words", making.read(world / "one"), words=vocabulary)


def only_vocabulary(world):
    folder = words(world, "b", "a")
    (folder / "tokenizer.json").unlink()
    return folder


def fisher_of(world, **tensors):
    folder = world / "other-statistics"
    folder.mkdir()
    values = making.read(world / FISHER / "one") | tensors
    making.save_file({name: np.asarray(t) for name, t in values.items() if t is not None}, folder / FISHER)
    return {"method": "fisher", "statistics": (world / FISHER / "one", folder)}


def with_model(make):
    return lambda world: {"models": (make(world), world / "two")}


WRONG = {
    "the head of no model": (lambda w: {"head_of": 3}, "--head-of 3: must be the number of one of the 2 --models"),
    "one head and none": (lambda w: {"head_of": 1, "no_head": True}, "--head-of and --no-head: give one of them"),
    "a head where none is": (
        lambda w: {**with_model(lambda w: changed(w, **{"classifier.weight": None}))(w), "head_of": 1},
        "--head-of: .*changed has no head; name a model that has one",
    ),
    "another shape": (
        with_model(lambda w: changed(w, **{"layer.bias": np.zeros(4, np.float32)})),
        r"changed: layer.bias is \[4\], in .*base \[5\]; must be one shape",
    ),
    "a missing tensor": (
        with_model(lambda w: changed(w, scale=None)),
        "changed: scale is missing, which .*base has",
    ),
    "an extra tensor": (
        with_model(lambda w: changed(w, extra=np.zeros(2, np.float32))),
        "changed: extra is in it, but not in .*base",
    ),
    "a head of another size": (
        with_model(lambda w: changed(w, **{"classifier.weight": np.zeros((3, 5), np.float32)})),
        r"changed: classifier.weight is \[3, 5\], in .*base \[2, 5\]",
    ),
    "labels in another order": (
        with_model(lambda w: configured(w, id2label={"0": "yes", "1": "no"})),
        "its head has the labels yes, no, that of .*base no, yes",
    ),
    "more labels": (
        with_model(lambda w: configured(w, id2label={"0": "no", "1": "yes", "2": "maybe"})),
        "its head has the labels no, yes, maybe, that of",
    ),
    "another architecture": (
        with_model(lambda w: configured(w, model_type="roberta")),
        "configured: model_type is 'roberta', in .*base 'bert'",
    ),
    "other heads of attention": (
        with_model(lambda w: configured(w, num_attention_heads=3)),
        "num_attention_heads is 3, in .*base 2",
    ),
    "other integers": (
        with_model(lambda w: changed(w, position_ids=np.arange(1, 6).reshape(1, 5))),
        "changed: position_ids is not as in .*base; integers cannot be merged",
    ),
    "integers for numbers": (
        with_model(lambda w: changed(w, scale=np.array(1))),
        "changed: scale is I64, in .*base F32",
    ),
    "another tokenizer": (
        with_model(lambda w: words(w, "b", "a")),
        "words: its tokenizer differs from that of .*base",
    ),
    "another vocabulary alone": (with_model(only_vocabulary), "words: its tokenizer differs from that of .*base"),
    "NaN": (with_model(lambda w: damaged(w, np.nan)), "damaged: layer.weight holds values that are not finite"),
    "infinity": (with_model(lambda w: damaged(w, np.inf)), "damaged: layer.weight holds values that are not finite"),
    "NaN in the base": (
        lambda w: {"base": damaged(w, np.nan, model="base")},
        "damaged: layer.weight holds values that are not finite",
    ),
    "a truncated file": (with_model(truncated), r"cut.model.safetensors: truncated: \d+ bytes of \d+"),
    "no weights": (
        with_model(lambda w: without(w, "model.safetensors")),
        "without: contains neither model.safetensors nor",
    ),
    "no config": (with_model(lambda w: without(w, "config.json")), "without: config.json is missing"),
    "no folder": (with_model(lambda w: w / "nowhere"), "nowhere is not a folder"),
    "a file": (with_model(lambda w: w / "two" / "config.json"), "two.config.json is a file"),
    "weights that sum to zero": (lambda w: {"weights": (1.0, -1.0)}, "--weights 1.0, -1.0: sum to zero"),
    "no weight at all": (lambda w: {"weights": (0.0, 0.0)}, "sum to zero"),
    "too few weights": (lambda w: {"weights": (1.0,)}, "1 are given for 2 models; give one for each"),
    "a weight that is no number": (lambda w: {"weights": (1.0, float("nan"))}, "must be finite numbers"),
    "weights of a soup that has none": (
        lambda w: {"method": "uniform", "weights": (1.0, 2.0)},
        "uniform treats its models alike and takes no --weights",
    ),
    "an existing folder": (lambda w: {"out": w / "one"}, "one already exists; name another folder"),
    "no base": (lambda w: {"base": None}, "ties merges changes of a base: give --base DIR"),
    "a strength without a base": (
        lambda w: {"method": "linear", "base": None, "strength": 0.5},
        "--strength 0.5 is a factor of changes: give --base DIR",
    ),
    "a strength that is no number": (lambda w: {"strength": float("inf")}, "--strength inf: must be a finite number"),
    "no models": (lambda w: {"models": ()}, "ties merges 1 models or more; --models names 0"),
    "slerp of three": (lambda w: {"method": "slerp"}, "slerp goes from one model to another"),
    "an unknown method": (lambda w: {"method": "tie"}, "is called 'tie'; available: uniform"),
    "an unknown dtype": (lambda w: {"dtype": "int8"}, "--dtype int8: must be one of float64, float32"),
    "a number too large for its dtype": (
        lambda w: {"models": (changed(w, scale=np.float32(1e6)),), "dtype": "float16"},
        "merged model: scale holds values that are not finite in F16",
    ),
    "a size that is none": (lambda w: {"max_shard_size": "big"}, "--max-shard-size big"),
    "an unknown device": (lambda w: {"device": "tpu"}, "--device tpu: must be cpu, or cuda"),
    "statistics for nothing": (
        lambda w: {"statistics": (w / GRAM / "one",) * 2},
        "ties needs none; 2 are given",
    ),
    "no statistics": (
        lambda w: {"method": "fisher"},
        "needs one folder with fisher.safetensors per model; 0 are given",
    ),
    "no file of statistics": (
        lambda w: {"method": "regmean", "statistics": (w / "one", w / "two")},
        "gram.safetensors is missing",
    ),
    "statistics of another shape": (
        lambda w: fisher_of(w, scale=np.zeros(2, np.float32)),
        r"scale is F32 \[2\], which is not what .*base needs",
    ),
    "a tensor without statistics": (lambda w: fisher_of(w, scale=None), "scale is missing; compute the statistics"),
    "statistics of another tensor": (
        lambda w: fisher_of(w, extra=np.zeros(2, np.float32)),
        "extra does not belong to any tensor that all models have",
    ),
    "statistics that are not finite": (
        lambda w: fisher_of(w, scale=np.float32(np.nan)),
        "scale holds values that are not finite",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_is_one_sentence_and_no_output(what, order, world):
    change, message = WRONG[what]
    made = order(**change(world))
    before = sorted(world.rglob("*"))
    with pytest.raises(ValueError, match=message) as error:
        merge(made, making.quiet)
    assert "\n" not in str(error.value) and sorted(world.rglob("*")) == before


def test_a_base_whose_labels_have_no_names_is_no_other_head(order, world):
    making.write(world / "unnamed", making.read(world / "base"), labels=("LABEL_0", "LABEL_1"))
    merge(order(base=world / "unnamed"), making.quiet)


def test_the_merged_model_loads_anywhere(tmp_path):
    import torch
    from transformers import AutoModel, AutoTokenizer, BertModel

    from tests.conftest import write_bert

    base = write_bert(tmp_path / "base", 2, 12, 2, seed=0)
    for seed in (1, 2):
        model = BertModel.from_pretrained(base)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
        model.save_pretrained(tmp_path / f"m{seed}")
    models = tmp_path / "m1", tmp_path / "m2"
    merge(Order("uniform", models, tmp_path / "out", base, dtype="bfloat16", max_shard_size="20KB"), making.quiet)
    merged, one, other = (AutoModel.from_pretrained(tmp_path / name) for name in ("out", "m1", "m2"))
    assert merged.dtype == torch.bfloat16
    for name, tensor in merged.state_dict().items():
        mean = (one.state_dict()[name].float() + other.state_dict()[name].float()) / 2
        assert torch.allclose(tensor.float(), mean, rtol=2**-7, atol=1e-6)
    batch = AutoTokenizer.from_pretrained(tmp_path / "out")("a good film", return_tensors="pt")
    assert torch.isfinite(merged(**batch).last_hidden_state).all()


def test_padding_and_truncation_are_no_part_of_a_tokenizer(order, world):
    file = str(world / "one" / "tokenizer.json")
    tokenizer = Tokenizer.from_file(file)
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding()
    tokenizer.save(file)
    merge(order(), making.quiet)


def test_a_full_disk_is_told_before_anything_is_written(order, world, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 900, 100))
    with pytest.raises(ValueError, match=r"merged: needs 0.00 GB, of which 0.00 are free on its disk"):
        merge(order(), making.quiet)
    assert not list(world.glob("*merged*"))


def test_a_disk_that_fills_up_is_told_and_leaves_nothing(order, world, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError) as error:
        merge(order(), making.quiet)
    assert error.value.filename == str(world / "merged")
    assert not list(world.glob("*merged*"))


def test_a_folder_that_appears_meanwhile_is_not_replaced(order, world):
    def appear(done, total, text):
        (world / "merged").mkdir(exist_ok=True)
        (world / "merged" / "kept").write_text("mine")

    with pytest.raises(OSError) as error:
        merge(order(), appear)
    assert "merged already exists" in ending.sentence(error.value)
    assert (world / "merged" / "kept").read_text() == "mine" and not list(world.glob(".merged*"))


def test_an_interrupted_merge_leaves_nothing(order, world):
    def interrupt(done, total, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(order(), interrupt)
    assert not list(world.glob("*merged*"))


def graft(*arguments):
    command = [sys.executable, "-m", "graft", "merge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_merges_and_tells_where(world):
    asked = ["--method", "ties", "--base", world / "base", "--models", world / "one", world / "two"]
    asked += ["--weights", "2", "-1", "--option", "density=0.5", "--out", world / "merged"]
    dry = graft(*asked, "--dry-run")
    assert dry.returncode == 0 and "this was a dry run" in dry.stdout and not (world / "merged").exists()
    done = graft(*asked)
    assert done.returncode == 0, done.stderr
    assert "ties of 2 models: strength 1, weights 2 -1, density 0.5, scope model\n8 tensors" in done.stdout
    assert f"the merged model is in {world / 'merged'}" in done.stdout
    again = graft(*asked)
    assert again.returncode == 1 and again.stderr.count("\n") == 1
    assert again.stderr.startswith(f"graft: {world / 'merged'} already exists")


def test_the_command_merges_adapters_and_names_them(world):
    for name in ("one", "two"):
        adapted(write_pico(world / "pico", "bert"), world / f"adapter-{name}")
    adapters = [world / f"adapter-{name}" for name in ("one", "two")]
    done = graft("--method", "uniform", "--models", *adapters, "--out", world / "merged")
    assert done.returncode == 0 and "uniform of 2 models" in done.stdout
    # Nothing of what transformers, peft and DeepSpeed have to say.
    assert all(" merge " in line for line in done.stderr.splitlines())
    assert all(f"`{adapter.name}`" in (world / "merged" / "README.md").read_text() for adapter in adapters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "a", "--large", "b"], "--large is for merges of two shapes"),
        (["--models", "a", "--head", "transplant"], "--head is for merges of two shapes"),
        (["--models", "a", "--small-pretrained", "b"], "--small-pretrained is for merges of two shapes"),
        (["--large", "a", "--dtype", "bfloat16"], "--dtype is for merges of one shape"),
        (["--large", "a", "--max-shard-size", "5GB"], "--max-shard-size is for merges of one shape"),
        (["--large", "a", "--weights", "1", "2"], "--weights is for merges of one shape"),
        (
            ["--method", "spacewise", "--models", "a", "b"],
            "spacewise merges models of two shapes (--large DIR ...), not",
        ),
        (
            ["--large", "a", "--small-finetuned", "b", "--text", "c"],
            "linear merges models of one shape (--models DIR DIR ...), not of two shapes",
        ),
        (["--models", "a", "--option", "x=1", "--option", "x=2"], "--option x: given twice"),
        (["--strength", "2"], "linear merges models of one shape (--models DIR DIR ...), not of two shapes"),
        (["--models", "nowhere", "--option", "x"], "--option x: use NAME=VALUE"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_one_line(arguments, message, world):
    done = graft("--method", "linear", "--out", world / "merged", *arguments)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1
