import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, metadata_load
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from graft.cli.merge_folders import RIDGE, Order, merge, read_labelled
from graft.config.models import PathModel
from graft.encoders.models import load_classifier, new_classifier
from graft.encoders.pretrained import fetch_model
from graft.encoders.saving import save_model
from graft.flops.counts import encoder_flops, moments_flops, ridge_flops, similarity_flops
from graft.io import files
from graft.registry import methods, published
from graft.tasks.tsv import read_tsv
from graft.tasks.vocabularies import Reader
from tests.conftest import VOCABULARY, pair_rows, sentiment_rows, write_bert, write_tsv
from tests.unit.counting import counting_flops
from tests.unit.families import FAMILIES, write_pico

WEIGHTS = list(methods.table("weights"))


def quiet(done, total, text):
    pass


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folders: large, small, one small classifier for each kind of labels; and files with text and labelled text."""
    root = tmp_path_factory.mktemp("world")
    write_bert(root / "large", layers=4, width=24, heads=4, seed=1)
    write_bert(root / "small", layers=2, width=12, heads=2, seed=2)
    for name, labels in (("two", ("negative", "positive")), ("three", ("a", "b", "c")), ("score", None)):
        model = new_classifier(root / "small", labels, seed=3)
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        save_model(model, root / name)
    rng = np.random.default_rng(0)
    rows = sentiment_rows(rng, 120)
    (root / "text.txt").write_text("\n".join(text for text, _ in rows) + "\n")
    (root / "pairs.txt").write_text("\n".join(f"{a}\t{b}" for a, b, _ in pair_rows(rng, 120)) + "\n")
    write_tsv(root / "two.tsv", ["sentence", "label"], rows)
    write_tsv(root / "three.tsv", ["sentence", "label"], [[text, "abc"[i % 3]] for i, (text, _) in enumerate(rows)])
    write_tsv(root / "score.tsv", ["sentence", "score"], [[text, i / 7] for i, (text, _) in enumerate(rows)])
    return root


@pytest.fixture
def order(world, tmp_path):
    def make(**changes):
        values = {
            "method": "spacewise",
            "large": world / "large",
            "small_finetuned": world / "two",
            "small_pretrained": world / "small",
            "text": world / "text.txt",
            "out": tmp_path / "merged",
        }
        return Order(**{**values, **changes})

    return make


@pytest.mark.parametrize("method", WEIGHTS)
@pytest.mark.parametrize("labels", ["two", "three", "score"])
def test_the_result_loads_anywhere_with_the_small_models_labels(method, labels, order, world):
    made = order(method=method, small_finetuned=world / labels)
    merge(made, quiet)
    model = AutoModelForSequenceClassification.from_pretrained(made.out)
    source = AutoModelForSequenceClassification.from_pretrained(world / labels)
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (4, 24)
    assert model.config.id2label == source.config.id2label
    tokenizer = AutoTokenizer.from_pretrained(made.out)
    assert torch.isfinite(model(**tokenizer("a good film", return_tensors="pt")).logits).all()
    made_of = json.loads((made.out / "graft.json").read_text())
    assert made_of["method"] == method and set(made_of["sources"]) == {"large", "small_finetuned", "small_pretrained"}
    card = metadata_load(made.out / "README.md")
    assert card == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["merge", "graft", method],
    }


@pytest.mark.parametrize(
    ("method", "head"), [("theseus", "transplant"), ("functional", "label-free"), ("grow", "labelled")]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_merges_into_a_model_that_transformers_loads(family, method, head, order, world, tmp_path):
    for size in ("small", "large"):
        write_pico(tmp_path / size, family, size)
    fetch_model(PathModel(kind="path", folder=str(tmp_path / "small")), "small", tmp_path / "fetched", "")
    tuned = new_classifier(tmp_path / "fetched", ("negative", "positive"), seed=3)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    save_model(tuned, tmp_path / "tuned")
    made = order(
        method=method,
        large=tmp_path / "large",
        small_pretrained=tmp_path / "small",
        small_finetuned=tmp_path / "tuned",
        head=head,
        labelled=world / "two.tsv" if head == "labelled" else None,
    )
    if (family, head) == ("modernbert", "transplant"):
        with pytest.raises(ValueError, match="a head of modernbert has a LayerNorm, .*; use label-free or labelled"):
            merge(made, quiet)
        return
    merge(made, quiet)
    theirs = AutoModelForSequenceClassification.from_pretrained(made.out, attn_implementation="eager")
    assert theirs.config.model_type == family and theirs.config.id2label == {0: "negative", 1: "positive"}
    batch = AutoTokenizer.from_pretrained(made.out)(
        ["a good film", "the plot is bad"], padding=True, return_tensors="pt"
    )
    ours = load_classifier(made.out)
    known = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        torch.testing.assert_close(ours(**known).logits, theirs(**known).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("small", ["bert", "electra", "distilbert"])
@pytest.mark.parametrize("large", ["bert", "electra", "distilbert"])
def test_families_with_one_vocabulary_merge_into_one_another(large, small, order, tmp_path):
    write_pico(tmp_path / "large", large, "large")
    write_pico(tmp_path / "small", small, "small")
    fetch_model(PathModel(kind="path", folder=str(tmp_path / "small")), "small", tmp_path / "fetched", "")
    save_model(new_classifier(tmp_path / "fetched", ("negative", "positive"), seed=3), tmp_path / "tuned")
    given = {"large": tmp_path / "large", "small_pretrained": tmp_path / "small", "small_finetuned": tmp_path / "tuned"}
    if large != small:
        with pytest.raises(ValueError, match=f"--head transplant: a head of {small} has .* one of {large} "):
            merge(order(**given), quiet)
    made = order(**given, head="label-free", options={"embedding_delta": True})
    merge(made, quiet)
    assert AutoModelForSequenceClassification.from_pretrained(made.out).config.model_type == large


@pytest.mark.parametrize("labels", ["two", "three", "score"])
def test_a_labelled_head_uses_the_labels_it_is_given(labels, order, world, tmp_path):
    one = order(head="labelled", small_finetuned=world / labels, labelled=world / f"{labels}.tsv")
    merge(one, quiet)
    lines = (world / f"{labels}.tsv").read_text().splitlines()
    texts, values = zip(*(line.rsplit("\t", 1) for line in lines[1:]), strict=True)
    turned = "\n".join([lines[0], *(f"{t}\t{v}" for t, v in zip(texts, values[::-1], strict=True))]) + "\n"
    (tmp_path / "turned.tsv").write_text(turned)
    other = order(head="labelled", small_finetuned=world / labels, labelled=tmp_path / "turned.tsv", out=tmp_path / "b")
    merge(other, quiet)
    weights = [load_file(folder / "model.safetensors") for folder in (one.out, other.out)]
    assert not torch.equal(weights[0]["classifier.weight"], weights[1]["classifier.weight"])
    for name in weights[0]:
        if name.startswith("bert.enc"):
            assert torch.equal(weights[0][name], weights[1][name])


@pytest.mark.parametrize("options", [{"index": False}, {}, {"index_label": "id"}, {"index": False, "quoting": 1}])
@pytest.mark.parametrize("last", ["label", "idx"])
def test_labelled_rows_that_pandas_wrote_are_read_as_they_were(options, last, world, tmp_path):
    table = read_tsv(world / "two.tsv").assign(idx=range(120))
    table.loc[0, "sentence"] = 'a "fine" film'
    write_tsv(tmp_path / "plain.tsv", ["sentence", "label"], table[["sentence", "label"]].to_numpy().tolist())
    table.loc[:, :last].to_csv(tmp_path / "pandas.tsv", sep="\t", **options)
    readers = [Reader.of(world / "large")]
    (texts, labels), (same, alike) = (
        read_labelled(tmp_path / name, ("negative", "positive"), readers) for name in ("plain.tsv", "pandas.tsv")
    )
    assert (
        len(same.columns) == 1
        and np.array_equal(texts.columns[0].ids, same.columns[0].ids)
        and np.array_equal(labels, alike)
    )


@pytest.mark.parametrize("head", ["transplant", "label-free"])
def test_a_model_merged_into_itself_is_the_fine_tuned_one(head, order, world):
    made = order(large=world / "small", head=head)
    merge(made, quiet)
    merged, tuned = (AutoModelForSequenceClassification.from_pretrained(f).eval() for f in (made.out, world / "two"))
    tokenizer = AutoTokenizer.from_pretrained(made.out)
    batch = tokenizer((world / "text.txt").read_text().splitlines()[:20], return_tensors="pt", padding=True)
    with torch.no_grad():
        error = (merged(**batch).logits - tuned(**batch).logits).norm() / tuned(**batch).logits.norm()
    assert error < 1e-2


def scores(folder, source=None):
    """The answers of transformers' own pipeline to some texts, by label."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    classify = pipeline("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(source or folder))
    said = classify(["a good film", "a bad story is dull", "the man sees the city"], top_k=None)
    return [{one["label"]: one["score"] for one in text} for text in said]


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ("three", "multi_label_classification"),
        ("three", None),
        ("one", "multi_label_classification"),
        ("one", None),
        ("one", "regression"),
        ("three", "regression"),
    ],
)
def test_outputs_mean_what_those_of_the_small_model_mean(labels, kind, order, world, tmp_path):
    tuned = tmp_path / "tuned"
    model = AutoModelForSequenceClassification.from_pretrained(world / ("score" if labels == "one" else labels))
    model.config.problem_type = kind
    if labels == "one":
        model.config.id2label, model.config.label2id = {0: "toxic"}, {"toxic": 0}
    model.save_pretrained(tuned)
    made = order(large=world / "small", small_finetuned=tuned)
    merge(made, quiet)
    ours, theirs = scores(made.out), scores(tuned, world / "small")
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=0.02)
        # Sigmoids, of which each says something of its own, and no softmax.
        if kind == "multi_label_classification" and labels == "three":
            assert abs(sum(one.values()) - 1) > 0.05
    refused = order(large=world / "small", small_finetuned=tuned, head="labelled", labelled=world / "three.tsv")
    if kind is None and labels == "one":
        with pytest.raises(ValueError, match='does not say which kind: write "problem_type": "regression" there if'):
            merge(replace(refused, out=tmp_path / "labelled"), quiet)
    if kind == "multi_label_classification" or (kind == "regression" and labels == "three"):
        with pytest.raises(ValueError, match="one class or one score per text, but --small-finetuned gives"):
            merge(replace(refused, out=tmp_path / "labelled"), quiet)


def test_models_may_lie_in_several_files_and_have_heads(order, world, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(world / "large", num_labels=3)
    model.save_pretrained(tmp_path / "large", max_shard_size="10KB")
    files.copy_into(world / "large", tmp_path / "large", files.TOKENIZER)
    assert (tmp_path / "large" / "model.safetensors.index.json").is_file()
    tuned = AutoModelForSequenceClassification.from_pretrained(world / "two")
    (tmp_path / "tuned").mkdir()
    torch.save(tuned.state_dict(), tmp_path / "tuned" / "pytorch_model.bin")
    files.copy_into(world / "two", tmp_path / "tuned", ["config.json"])
    plain, other = order(), order(large=tmp_path / "large", small_finetuned=tmp_path / "tuned", out=tmp_path / "b")
    merge(plain, quiet)
    merge(other, quiet)
    weights = [load_file(folder / "model.safetensors") for folder in (plain.out, other.out)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_strength_zero_leaves_the_large_body_as_it_was(order, world):
    made = order(strength=0.0, text=world / "pairs.txt")
    merge(made, quiet)
    before, after = load_file(world / "large" / "model.safetensors"), load_file(made.out / "model.safetensors")
    for name, tensor in before.items():
        if not name.startswith("pooler"):
            assert torch.equal(after[f"bert.{name}"], tensor)


def test_a_dry_run_writes_nothing_and_shows_the_layers(order, world):
    made = order(options={"depth": "spread"})
    assert merge(made, quiet, dry_run=True).depth_map == ((0, 0), (0, 1), (1, 2), (1, 3))
    assert not made.out.exists()


TEXTS, LENGTH, HELD = 120, 7, 24  # every text of the world is five words long


def by_hand(small, large, head, depth):
    """FLOPs of all but the method itself, for models with two labels."""
    both = TEXTS * (encoder_flops(small, LENGTH) + encoder_flops(large, LENGTH))
    parts = {"calibrate": both + moments_flops(small, large, 4 if depth == "spread" else 2, TEXTS * LENGTH)}
    if depth == "cka":
        parts["similarity"] = both + similarity_flops(small, large, TEXTS * LENGTH)
    fits = [(TEXTS - HELD, len(RIDGE)), (TEXTS, 1)]
    if head == "transplant":
        fitted = sum(ridge_flops(rows, 24, 12, sizes) + sizes * 2 * 12 * 12 * 24 for rows, sizes in fits)
    else:
        fitted = sum(ridge_flops(rows, 24, 2, sizes) + rows * 2 * 24 * 24 for rows, sizes in fits)
    small_logits, large_logits = (2 * width * width + 2 * width * 2 for width in (12, 24))
    if head == "label-free":
        fitted += sum(rows * small_logits for rows, _ in fits)
    seen = TEXTS * encoder_flops(large, LENGTH) if head == "labelled" else both + TEXTS * small_logits
    parts["head"] = seen + fitted + len(RIDGE) * HELD * large_logits
    return parts


@pytest.mark.parametrize(("head", "depth"), [("transplant", "uniform"), ("label-free", "cka"), ("labelled", "spread")])
def test_the_plan_counts_all_that_is_computed(head, depth, order, world):
    labelled = world / "two.tsv" if head == "labelled" else None
    made = order(method="theseus", head=head, labelled=labelled, options={"depth": depth})
    with counting_flops() as counted:
        plan = merge(made, quiet)
    method = {"prepare": plan.options.flops(plan.small, plan.large, 0).prepare, "apply": 0}
    assert plan.flops == method | by_hand(plan.small, plan.large, head, depth)
    poolers = counted.get_flop_counts()["Encoder.pooler"]
    assert counted.get_total_flops() - sum(poolers.values()) == sum(plan.flops.values())


def damaged(world, folder, model="small", tensor="encoder.layer.1.output.dense.bias"):
    shutil.copytree(world / model, folder)
    weights = load_file(folder / "model.safetensors")
    weights[tensor][1] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def overflowing(world, folder):
    """Every weight is finite, but not what is computed with them."""
    shutil.copytree(world / "large", folder)
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.3.output.dense.weight"].fill_(3e38)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def other_words(world, folder):
    shutil.copytree(world / "small", folder)
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"lovely"', '"ugly"'))
    return folder


def configured(source, folder, **changes):
    """A copy of a model folder with other values in its config."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def renamed(world, folder, name, other):
    """The fine-tuned model with another beginning of some tensors' names, or with a copy of one."""
    shutil.copytree(world / "two", folder)
    weights = load_file(folder / "model.safetensors")
    more = {other + key.removeprefix(name): tensor.clone() for key, tensor in weights.items() if key.startswith(name)}
    save_file(weights | more if name else more, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def whole(world, folder):
    """The fine-tuned model with its tokenizer."""
    shutil.copytree(world / "two", folder)
    files.copy_into(world / "small", folder, files.TOKENIZER)
    return folder


def more_words(world, folder):
    """The small model's tokenizer and embeddings with one word more."""
    configured(world / "small", folder, vocab_size=len(VOCABULARY) + 1)
    weights = load_file(folder / "model.safetensors")
    table = weights["embeddings.word_embeddings.weight"]
    weights["embeddings.word_embeddings.weight"] = torch.cat([table, table[:1]])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def few_lines(world, file, lines, source="text.txt"):
    file.write_text("\n".join((world / source).read_text().splitlines()[:lines]) + "\n")
    return file


def write(file, text):
    file.write_text(text)
    return file


THREE = {"id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}


WRONG = {
    "the fine-tuned model in both places": (
        lambda w, t: {"small_finetuned": whole(w, t / "x"), "small_pretrained": t / "x" / ".." / "x"},
        "x: the same as --small-finetuned; name the model before its fine-tuning",
    ),
    "labels for another head": (
        lambda w, t: {"labelled": w / "two.tsv"},
        "--labelled: only used with --head labelled",
    ),
    "a head for a method that has its own": (
        lambda w, t: {"method": "interpolate", "head": "label-free"},
        "--head label-free: interpolate makes its own head; leave it out",
    ),
    "a classifier of words": (
        lambda w, t: {"small_finetuned": configured(w / "two", t / "x", architectures=["BertForTokenClassification"])},
        r"x: not a text classifier \(BertForTokenClassification\); a model fine-tuned for classes or a score",
    ),
    "a layer that the config does not count": (
        lambda w, t: {"small_finetuned": renamed(w, t / "x", "classifier.weight", "bert.encoder.layer.2.weight")},
        "x: bert.encoder.layer.2.weight is not a bert classifier's",
    ),
    "weights of a wrapped model": (
        lambda w, t: {"small_finetuned": renamed(w, t / "x", "", "module.")},
        "x: bert.embeddings.LayerNorm.bias is missing; .*",
    ),
    "labels counted from 1": (
        lambda w, t: {"small_finetuned": configured(w / "two", t / "x", id2label={"1": "a", "2": "b"})},
        "x/config.json: id2label .* must give a different label to each number from 0 on",
    ),
    "no pre-trained small": (lambda w, t: {"small_pretrained": None}, "give --small-pretrained DIR"),
    "a folder without a model": (lambda w, t: {"large": t}, "--large: .*missing; a Hugging Face model folder"),
    "another architecture": (
        lambda w, t: {"large": configured(w / "large", t / "x", model_type="albert")},
        "'albert'; supported are bert, roberta",
    ),
    "a fine-tuned model of another architecture": (
        lambda w, t: {"small_finetuned": configured(w / "two", t / "x", model_type="gpt2")},
        "x: model_type is 'gpt2'; supported are bert, roberta",
    ),
    "small larger than large": (
        lambda w, t: {"large": w / "small", "small_pretrained": w / "large", "small_finetuned": w / "large"},
        "the small model has layers 4, more than the large one's 2",
    ),
    "a wider small model": (
        lambda w, t: {role: write_bert(t / role, 2, 36, 2, 5) for role in ("small_pretrained", "small_finetuned")},
        "the small model has width 36, more than the large one's 24",
    ),
    "a larger vocabulary": (
        lambda w, t: {role: more_words(w, t / role) for role in ("small_pretrained", "small_finetuned")},
        f"the small model has {len(VOCABULARY) + 1} word embeddings, the large one {len(VOCABULARY)}; they must",
    ),
    "another vocabulary than before the fine-tuning": (
        lambda w, t: {"small_pretrained": other_words(w, t / "x"), "small_finetuned": whole(w, t / "y")},
        "the vocabularies differ at 'lovely'; both must read alike",
    ),
    "too few tokens": (lambda w, t: {"tokens": 30}, "tokens are too few; the feed-forward space .* at least 48"),
    "too few texts for a head": (
        lambda w, t: {"text": few_lines(w, t / "few.txt", 9)},
        "fitting a head needs at least 10 texts, not 9; give more text",
    ),
    "too few labelled texts": (
        lambda w, t: {"head": "labelled", "labelled": few_lines(w, t / "few.tsv", 9, "two.tsv")},
        "fitting a head needs at least 10 texts, not 8",
    ),
    "not a number": (lambda w, t: {"small_pretrained": damaged(w, t / "x")}, "not finite; the model is damaged"),
    "not a number in the fine-tuned model": (
        lambda w, t: {"small_finetuned": damaged(w, t / "x", "two", "classifier.bias")},
        "--small-finetuned: classifier.bias contains values that are not finite",
    ),
    "activations that overflow": (
        lambda w, t: {"large": overflowing(w, t / "x")},
        "activations at layer.1-3.output.out are not finite",
    ),
    "activations that overflow, without statistics": (
        lambda w, t: {"large": overflowing(w, t / "x"), "method": "grow", "strength": 0.5},
        "not finite|must be finite",
    ),
    "a head of another size": (
        lambda w, t: {"small_finetuned": configured(w / "two", t / "x", **THREE)},
        r"x: classifier.bias has shape \[2\], but config.json says \[3\]; classifier.weight has",
    ),
    "no head": (
        lambda w, t: {"small_finetuned": w / "small"},
        "small: not a text classifier",
    ),
    "an existing folder": (lambda w, t: {"out": w}, "already exists"),
    "no labelled file": (lambda w, t: {"head": "labelled"}, "give --labelled FILE.tsv"),
    "labels of another model": (
        lambda w, t: {"head": "labelled", "labelled": w / "three.tsv"},
        "has the label 'a'; it should be one of negative, positive",
    ),
    "labels in the text": (lambda w, t: {"text": w / "two.tsv"}, "a column contains labels or numbers"),
    "labelled rows without a header": (
        lambda w, t: {
            "head": "labelled",
            "labelled": write(t / "x.tsv", (w / "two.tsv").read_text().split("\n", 1)[1]),
        },
        "the first line contains the value '[01]'; it should name the columns",
    ),
    "labelled rows of one class": (
        lambda w, t: {"head": "labelled", "labelled": write(t / "x.tsv", "text\tlabel\n" + "a fine film\t1\n" * 20)},
        "the label column label has only 'positive'; every class needs a row",
    ),
    "labels before texts": (
        lambda w, t: {"head": "labelled", "labelled": write(t / "x.tsv", "label\ttext\n1\tgood\n0\tbad\n")},
        "the label column label is not the last; move it to the end",
    ),
    "an unknown head": (lambda w, t: {"head": "random"}, "available: transplant, label-free, labelled"),
    "a composite": (lambda w, t: {"method": "logit_ensemble"}, "fits a head to labels"),
    "another small model": (lambda w, t: {"small_finetuned": w / "large"}, "they must be equal"),
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_is_one_sentence_and_no_output(what, order, world, tmp_path, capfd, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    changes, message = WRONG[what]
    made = order(**changes(world, tmp_path))
    there = made.out.exists()
    with pytest.raises(ValueError, match=message) as error:
        merge(made, quiet)
    assert "\n" not in str(error.value) and made.out.exists() == there
    assert not list(made.out.parent.glob(f".{made.out.name}*"))
    assert capfd.readouterr().err == "" and caplog.text == ""


@pytest.mark.parametrize("method", WEIGHTS)
def test_every_part_of_a_merge_is_reported_as_it_begins(method, order):
    told = []
    merge(order(method=method), lambda done, total, text: told.append((done, total, text)))
    texts = [text for _, _, text in told]
    assert texts[0] == "reading the models and the text" and texts[-1] == "writing the merged model"
    assert "adding up the merged weights" in texts
    assert all(done <= total for done, total, _ in told)
    if methods.facts(method).heads:
        assert "fitting the head" in texts and any("read by the merged model" in text for text in texts)
    before = texts[: texts.index("adding up the merged weights")]
    # Reading and calibration are no method's own.
    assert method == "interpolate" or set(before) - {texts[0], "texts compared"}


def test_the_command_merges_and_tells_where(world, tmp_path):
    command = [sys.executable, "-m", "graft", "merge", "--method", "theseus", "--large", world / "large"]
    command += ["--small-finetuned", world / "two", "--small-pretrained", world / "small", "--text", world / "text.txt"]
    command += ["--option", "depth=cka", "--out", tmp_path / "merged"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = done.stdout
    assert "WARNING" not in done.stderr and "fitting the head" in done.stderr
    assert "layers, counted from 0: 0 → " in told and f"the merged model is in {tmp_path / 'merged'}" in told
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and again.stderr.startswith(f"graft: {tmp_path / 'merged'} already exists")
    assert again.stderr.count("\n") == 1


def test_the_card_tells_licence_base_and_what_a_model_has_seen(order, world, tmp_path):
    for name in ("large", "small", "two"):
        shutil.copytree(world / name, tmp_path / name)
    (digest,) = published.BY_SHA256
    source = {"kind": "python_package", "package": "p", "folder": ".", "sha256": digest}
    files.write_json(tmp_path / "large" / "manifest.json", {"source": source})
    for name in ("small", "two"):
        (tmp_path / name / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Mine\n")
    roles = {"large": "large", "small_pretrained": "small", "small_finetuned": "two"}
    made = order(**{role: tmp_path / name for role, name in roles.items()})
    merge(made, quiet)
    card = ModelCard.load(made.out / "README.md")
    assert card.data.license == "apache-2.0" and card.data.base_model_relation == "merge"
    assert card.data.base_model == ["sentence-transformers/all-MiniLM-L6-v2"]
    assert "**Not evidence.** all-MiniLM-L6-v2 was trained on NLI" in card.text and str(tmp_path) not in card.text
