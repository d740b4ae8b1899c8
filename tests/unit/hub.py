"""A stand-in for the Hugging Face hub: the few addresses that `huggingface_hub` asks for, served from a folder.

Repositories stand in `<root>/<models|datasets>/<owner>/<name>/`; every commit of 40 hex digits is the same one, and
branches and tags are at HEAD.
"""

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlparse

import pandas as pd

HEAD = "c" * 40
API = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?")
FILE = re.compile(r"^/(datasets/)?([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)$")


def _handler(root: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = urlparse(self.path).path
            if match := API.match(path):
                self.repository(*match.groups())
            elif match := FILE.match(path):
                kind = "datasets" if match[1] else "models"
                self.file(root / kind / match[2] / match[4], match[3], body)
            else:
                self.send_error(404)

        def repository(self, kind: str, name: str, what: str | None, revision: str | None) -> None:
            folder = root / kind / name
            if not folder.is_dir():
                self.send_error(404)
                return
            commit = revision if revision and re.fullmatch("[0-9a-f]{40}", revision) else HEAD
            found = [f for f in sorted(folder.rglob("*")) if f.is_file()]
            names = [str(f.relative_to(folder)) for f in found]
            if what != "tree":
                value = {"id": name, "sha": commit, "siblings": [{"rfilename": n} for n in names]}
            else:
                value = [
                    {"type": "file", "path": n, "size": f.stat().st_size, "oid": "0" * 40}
                    for n, f in zip(names, found, strict=True)
                ]
            self.send(json.dumps(value).encode(), {"Content-Type": "application/json"})

        def file(self, path: Path, commit: str, body: bool) -> None:
            if not path.is_file():
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = path.read_bytes()
            self.send(data, {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}, body)

        def send(self, data: bytes, headers: dict[str, str], body: bool = True) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def write_rte(folder: Path, tsv: Path) -> Path:
    """GLUE's RTE as the hub has it, from its TSV files: parquet, labels as ids, and a test split."""
    folder.mkdir(parents=True)
    for name, split in (("train", "train"), ("dev", "validation"), ("dev", "test")):
        table = pd.read_csv(tsv / f"{name}.tsv", sep="\t", quoting=csv.QUOTE_NONE)
        table["label"] = table["label"].map({"entailment": 0, "not_entailment": 1})
        table.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


def write_tinybert(folder: Path, source: Path, own: bool, teacher: int | None = None) -> tuple[dict, list[dict]]:
    """The encoder of `source` as TinyBERT's makers publish theirs: a pickle of a pre-training model, a vocabulary and a
    bare config without a model_type, with one projection for all states or one of its `own` for each, to the width of
    its `teacher`, by default twice its own.

    Returns the encoder's tensors and, for each projection, its tensors.
    """
    import torch
    from safetensors.torch import load_file

    state, config = load_file(source / "model.safetensors"), json.loads((source / "config.json").read_text())
    width, generator = config["hidden_size"], torch.Generator().manual_seed(0)
    names = [f"fit_denses.{i}" for i in range(config["num_hidden_layers"] + 1)] if own else ["fit_dense"]
    teacher = teacher or 2 * width
    sizes = {"weight": (teacher, width), "bias": (teacher,)}
    heads = [{f"{n}.{part}": torch.randn(*size, generator=generator) for part, size in sizes.items()} for n in names]
    saved = {f"bert.{name}": tensor for name, tensor in state.items()}
    saved |= {"cls.predictions.bias": torch.zeros(3), "cls.seq_relationship.weight": torch.zeros(2, width)}
    for head in heads:
        saved |= head
    folder.mkdir(parents=True)
    torch.save(saved, folder / "pytorch_model.bin")
    shutil.copyfile(source / "vocab.txt", folder / "vocab.txt")
    for key in ("model_type", "architectures", "dtype", "transformers_version"):
        config.pop(key, None)
    theirs = {"cell": {}, "emb_size": width, "pre_trained": "", "structure": []}
    (folder / "config.json").write_text(json.dumps({**config, **theirs}))
    return state, heads


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Serve `root` on the loopback address; yields the endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(root))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
