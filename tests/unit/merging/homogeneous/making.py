"""Small model folders of one shape, and merges of them."""

import json

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import BertWordPieceTokenizer

from graft.merging.homogeneous.fisher import FISHER
from graft.merging.homogeneous.folders import Order, merge

SHAPES = {
    "embeddings.weight": (9, 6),
    "layer.weight": (5, 6),
    "layer.bias": (5,),
    "kernel.weight": (3, 2, 2),
    "scale": (),
    "nothing.weight": (0, 4),
    "classifier.weight": (2, 5),
}
# Layers that are linear, whose inputs have Gram matrices.
LINEAR = ("layer.weight", "classifier.weight")


SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def quiet(done, total, text):
    pass


def tensors(seed, size=1.0, around=None):
    """Random tensors of SHAPES and one of integers, at a distance of about `size` from others."""
    rng = np.random.default_rng(seed)
    made = {name: np.asarray(size * rng.standard_normal(shape), np.float32) for name, shape in SHAPES.items()}
    if around is not None:
        made = {name: np.asarray(around[name] + tensor) for name, tensor in made.items()}
    return made | {"position_ids": np.arange(5).reshape(1, 5)}


def write(folder, values, files=1, labels=("no", "yes"), words=("a", "b")):
    """A model folder with its weights in so many files."""
    folder.mkdir(parents=True)
    names = sorted(values)
    if files == 1:
        save_file(values, folder / "model.safetensors")
    else:
        placed = {name: f"model-{i % files:05d}.safetensors" for i, name in enumerate(names)}
        for file in set(placed.values()):
            save_file({name: values[name] for name in names if placed[name] == file}, folder / file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    config = {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        "num_attention_heads": 2,
        "id2label": dict(enumerate(labels)),
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = [*SPECIAL, *words]
    BertWordPieceTokenizer({word: i for i, word in enumerate(vocabulary)}).save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return folder


def statistics(folder, kind, seed):
    """Statistics as a model of SHAPES may have them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    if kind == FISHER:
        made = {name: np.asarray(rng.random(shape), np.float32) for name, shape in SHAPES.items()}
    else:
        inputs = {name: rng.standard_normal((20, SHAPES[name][1])) for name in LINEAR}
        made = {name: (x.T @ x / 20).astype(np.float32) for name, x in inputs.items()}
    save_file(made, folder / kind)
    return folder


def read(folder):
    """All tensors of a folder, in however many files."""
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def merged(out, method, models, base=None, **changes):
    """The tensors of a merge of folders."""
    merge(Order(method, tuple(models), out, base, **changes), quiet)
    return read(out)


def alone(root, method, models, base=None, name="layer.weight", **changes):
    """The merge of single tensors, given as nested lists."""
    root.mkdir(parents=True, exist_ok=True)
    number = len(list(root.iterdir()))
    place = root / str(number)
    folders = [write(place / f"m{i}", {name: np.array(m, np.float32)}) for i, m in enumerate(models)]
    before = None if base is None else write(place / "base", {name: np.array(base, np.float32)})
    return merged(place / "out", method, folders, before, **changes)[name]


def close(one, other, within=1e-6):
    """Whether two merges are equal, up to rounding."""
    return one.keys() == other.keys() and all(np.allclose(one[n], other[n], rtol=within, atol=within) for n in one)


def same(one, other):
    """Whether two merges are equal, bit for bit."""
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)
