"""Merging three fine-tunings of a BERT-base with their base: Graft against mergekit, in time, memory and numbers.

Random weights: neither time nor memory depends on what they are. mergekit comes from PyPI into a virtual environment of
its own (gigabytes; --mergekit names the python of one that is there already). Both run in turn as a user runs them, a
process per merge, files in the page cache. Medians of some rounds; processor seconds as well as wall seconds, since
other load on the machine changes them less. Copying means the bytes of all models that are read, or of one, from disk
cache to disk cache, by cp. Graft alone hashes what it reads, and waits until what it wrote is on the disk.

    python -m benchmarks.homogeneous [--rounds N] [--mergekit PYTHON] [METHOD ...]

With --big GB it makes a base and three models of so many gigabytes together, merges them with Graft alone, and prints
peak memory; it takes a third more disk than that.

    python -m benchmarks.homogeneous --big 12 [METHOD ...]
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MODELS = ("one", "two", "three")
# What mergekit is asked for, and Graft: the same where both define it alike.


@dataclass(frozen=True)
class Case:
    """One merge. peer: mergekit's method; shared: its parameters; alike: whether both define it alike."""

    method: str
    options: tuple[str, ...] = ()
    peer: str = ""
    shared: dict = field(default_factory=dict)
    models: tuple[str, ...] = MODELS
    base: bool = True
    weight: float | None = 1.0
    alike: bool = True


CASES = {
    "linear": Case("linear", peer="linear", base=False),
    "slerp": Case("slerp", peer="slerp", shared={"t": 0.5}, models=MODELS[:1], weight=None),
    "task_arithmetic": Case("task_arithmetic", peer="task_arithmetic", weight=0.3),
    "ties": Case("ties", peer="ties", shared={"density": 0.2}, alike=False),
    "ties per tensor": Case("ties", ("scope=tensor",), peer="ties", shared={"density": 0.2}),
    "dare_ties": Case("dare_ties", peer="dare_ties", shared={"density": 0.5}, alike=False),
}
# With what Graft is imported when it merges, by method.
IMPORTS = (
    "import yaml, graft.cli.main, graft.io.progress, rich.progress; from graft.merging.homogeneous import folders; "
    "from graft.registry import methods; methods.implementation(%r)"
)


def bert_base() -> dict[str, tuple[int, ...]]:
    """Shapes of a `BertForSequenceClassification`'s tensors, 12 layers 768 wide. (`BertModel` ends mergekit 0.1.5.)"""
    width, ffn = 768, 3072
    shapes = {
        "bert.embeddings.word_embeddings.weight": (30522, width),
        "bert.embeddings.position_embeddings.weight": (512, width),
        "bert.embeddings.token_type_embeddings.weight": (2, width),
        "bert.pooler.dense.weight": (width, width),
        "bert.pooler.dense.bias": (width,),
        "classifier.weight": (2, width),
        "classifier.bias": (2,),
    }
    norms = ["bert.embeddings.LayerNorm"]
    for layer in range(12):
        at = f"bert.encoder.layer.{layer}."
        norms += [f"{at}attention.output.LayerNorm", f"{at}output.LayerNorm"]
        dense = {f"attention.self.{name}": (width, width) for name in ("query", "key", "value")}
        dense |= {"attention.output.dense": (width, width)}
        dense |= {"intermediate.dense": (ffn, width), "output.dense": (width, ffn)}
        for name, shape in dense.items():
            shapes |= {f"{at}{name}.weight": shape, f"{at}{name}.bias": shape[:1]}
    return shapes | {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}


def large_decoder(size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a decoder 2048 wide, with as many layers as make about `size` bytes of float32."""
    shapes = {"model.embed_tokens.weight": (32000, 2048), "lm_head.weight": (32000, 2048)}
    layer = {f"self_attn.{name}_proj.weight": (2048, 2048) for name in "qkvo"}
    layer |= {"mlp.gate_proj.weight": (5632, 2048), "mlp.up_proj.weight": (5632, 2048)}
    layer |= {"mlp.down_proj.weight": (2048, 5632), "input_layernorm.weight": (2048,)}
    rest = size - 4 * 2 * 32000 * 2048
    for number in range(round(rest / (4 * (4 * 2048 * 2048 + 3 * 5632 * 2048)))):
        shapes |= {f"model.layers.{number}.{name}": shape for name, shape in layer.items()}
    return shapes


def make(root: Path, shapes: dict[str, tuple[int, ...]], shard: str) -> None:
    """A base and three models near it, in float32."""
    import math

    import numpy as np

    from graft.merging.homogeneous.shards import Slot, Writer, size

    slots = [Slot(name, "F32", shape) for name, shape in sorted(shapes.items())]
    part = 1 << 22
    draws = [np.random.default_rng(seed).standard_normal(part, np.float32) for seed in range(4)]
    for seed, name in enumerate(("base", *MODELS)):
        (root / name).mkdir(parents=True)
        with Writer(root / name, slots, size(shard)) as writer:
            for number, slot in enumerate(slots):
                count = math.prod(slot.shape)
                for start in range(0, count, part):
                    # Other numbers for every part, from few draws.
                    values = 0.02 * np.roll(draws[0], 7919 * (number + start))[: count - start]
                    if seed:
                        values = values + 0.002 * np.roll(draws[seed], 104729 * (number + start))[: count - start]
                    writer.write(slot.name, start, values)
        config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "num_hidden_layers": 12}
        config |= {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522}
        (root / name / "config.json").write_text(json.dumps(config))


def difference(one: Path, other: Path) -> str:
    """The largest difference between two models, and how many numbers differ by more than 1e-6."""
    import numpy as np
    from safetensors import safe_open

    largest, more, count = 0.0, 0, 0
    for names, file in ((sorted(tensors), file) for file, tensors in _tensors(one).items()):
        theirs = {name: path for path, tensors in _tensors(other).items() for name in tensors}
        with safe_open(file, "numpy") as ours:
            for name in names:
                with safe_open(theirs[name], "numpy") as peer:
                    gap = np.abs(ours.get_tensor(name) - peer.get_tensor(name))
                largest = max(largest, float(gap.max()))
                more, count = more + int((gap > 1e-6).sum()), count + gap.size
    return f"{largest:.1e}, {more} of {count} above 1e-6"


def _tensors(folder: Path) -> dict[Path, list[str]]:
    from safetensors import safe_open

    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "numpy") as opened:
            found[file] = list(opened.keys())
    return found


class Took(NamedTuple):
    """Wall seconds, processor seconds, and peak memory in MB of a process, or medians of them."""

    wall: float
    processor: float
    memory: float


def run(command: Sequence[str | Path]) -> Took:
    """What a process took; raises RuntimeError with what it said where it fails.

    This process stays small, since a child's peak memory counts from its parent's.
    """
    os.sync()
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(map(str, command))}\n{said.read().decode()[-3000:]}")
    return Took(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def ourselves(what: str, *arguments: object) -> str:
    """The output of this program's other half, which may take memory."""
    command = [sys.executable, "-m", "benchmarks.homogeneous", what, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def graft(case: Case, root: Path, out: Path) -> list[str | Path]:
    command: list[str | Path] = [sys.executable, "-m", "graft", "merge", "--method", case.method, "--out", out]
    command += ["--base", root / "base"] if case.base else []
    command += [part for option in case.options for part in ("--option", option)]
    return [*command, "--models", *(root / name for name in case.models)]


def mergekit(python: Path, case: Case, root: Path, out: Path) -> list[str | Path]:
    models = [{"model": str(root / name)} for name in case.models]
    for model in models if case.weight is not None else ():
        model["parameters"] = {"weight": case.weight}
    config = {"merge_method": case.peer, "models": models, "parameters": case.shared, "dtype": "float32"}
    if case.base:
        config["base_model"] = str(root / "base")
    if case.peer == "slerp":
        config["models"] = [{"model": str(root / "base")}, *models]
    # JSON is YAML.
    file = root / f"{out.name}.yaml"
    file.write_text(json.dumps(config))
    return [python.parent / "mergekit-yaml", file, out]


def install(folder: Path) -> Path:
    """A virtual environment with mergekit alone; its python."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "mergekit"], check=True)
    return python


def fresh(root: Path, name: str) -> Path:
    """A folder's name, free of an earlier round's."""
    subprocess.run(["rm", "-rf", root / name], check=True)
    return root / name


def copying(root: Path, *folders: str) -> Took:
    """What cp takes for some models."""
    copied = fresh(root, "copied")
    copied.mkdir()
    return run(["cp", "-r", "--reflink=never", *(root / folder for folder in folders), copied])


def medians(rounds: int, *runs: Callable[[], Took]) -> list[Took]:
    """Medians of what each takes, run in turn."""
    found = [[one() for one in runs] for _ in range(rounds)]
    return [Took(*map(statistics.median, zip(*column, strict=True))) for column in zip(*found, strict=True)]


def told(name: str, us: Took, them: Took, start: Took, copies: Took, copy: Took) -> str:
    """One case in one line: ours against mergekit's, then without imports against copying what it reads."""
    compared = (
        f"{what} {a:.{digits}f} against {b:.{digits}f} {unit}, ratio {a / b:.3f}"
        for what, a, b, unit, digits in (
            ("wall", us.wall, them.wall, "s", 2),
            ("processor", us.processor, them.processor, "s", 2),
            ("peak", us.memory, them.memory, "MB", 0),
        )
    )
    alone = us.wall - start.wall
    against = " and ".join(
        f"{alone / one.wall:.1f} x copying {what} ({one.wall:.2f} s)" for what, one in (("all", copies), ("one", copy))
    )
    without = f"without imports ({start.wall:.2f} s) {against}"
    return "; ".join([f"{name}: {next(compared)}", *compared, without])


def against_mergekit(names: Sequence[str], rounds: int, python: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="graft-benchmark-") as scratch:
        root = Path(scratch)
        python = python or install(root / "mergekit")
        ask = "import importlib.metadata as m; print(m.version('mergekit'), m.version('torch'))"
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
        print(f"mergekit {said[0]} (torch {said[1]}), {os.cpu_count()} cores, medians of {rounds} rounds")
        ourselves("make", root)
        for name in names:
            case = CASES[name]

            def ours(case: Case = case) -> Took:
                return run(graft(case, root, fresh(root, "ours")))

            def theirs(case: Case = case) -> Took:
                return run(mergekit(python, case, root, fresh(root, "theirs")))

            def starting(case: Case = case) -> Took:
                return run([sys.executable, "-c", IMPORTS % case.method])

            read = (*(["base"] if case.base else []), *case.models)
            copies = functools.partial(copying, root, *read), functools.partial(copying, root, "base")
            us, them, start, *copied = medians(rounds, ours, theirs, starting, *copies)
            same = ourselves("compare", root / "ours", root / "theirs") if case.alike else "defined otherwise"
            print(told(name, us, them, start, *copied), f"difference {same}", sep="; ", flush=True)


def of_large_models(names: Sequence[str], gigabytes: float) -> None:
    with tempfile.TemporaryDirectory(prefix="graft-benchmark-") as scratch:
        root = Path(scratch)
        ourselves("make", root, gigabytes)
        read = sum(file.stat().st_size for file in root.rglob("*.safetensors"))
        for name in names:
            took = run(graft(CASES[name], root, fresh(root, "ours")))
            print(
                f"{name} of {read / 1e9:.1f} GB in four models: {took.wall:.0f} s, peak {took.memory:.0f} MB",
                flush=True,
            )


def main() -> None:
    if sys.argv[1:2] == ["make"]:
        size = int(float(sys.argv[3]) * 1e9 / 4) if len(sys.argv) > 3 else 0
        make(Path(sys.argv[2]), large_decoder(size) if size else bert_base(), "1GB" if size else "5GB")
    elif sys.argv[1:2] == ["compare"]:
        print(difference(Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        arguments.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(CASES))
        arguments.add_argument("--rounds", type=int, default=3)
        arguments.add_argument("--mergekit", type=Path, metavar="PYTHON")
        arguments.add_argument("--big", type=float, metavar="GB")
        args = arguments.parse_args()
        if args.big:
            of_large_models(args.methods or ["linear", "ties"], args.big)
        else:
            against_mergekit(args.methods or list(CASES), args.rounds, args.mergekit)


if __name__ == "__main__":
    main()
