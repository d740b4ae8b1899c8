"""Making a small BERT from a large one on unlabelled text: general distillation as in TinyBERT.

Jiao et al. 2020 (arXiv 1909.10351), section 3.1: the student's hidden states, through one learned projection, follow
the teacher's at the embedding output (eq. 9) and after layers m -> g(m) = m L / S (eq. 8), and its attention scores
before the softmax follow the teacher's (eq. 7). Ours differs in three points: terms are divided by the teacher's
variance, so that they are comparable and 1 means "nothing learned"; keys are centred over the tokens of a text first,
since the softmax ignores what all keys share; and the student starts from a closed-form fit
(`graft.training.distil_start`).
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from graft import files
from graft.cost.flops import distil_start_flops, distil_step_flops
from graft.encoders import load_encoder
from graft.shapes import Shape, check_shapes
from graft.study import DistilOptions
from graft.training.batches import MIXED_WINDOW
from graft.training.distil_start import fit_pooler, start_from_teacher, state_basis
from graft.training.optimizer import parameter_groups

Text = str | tuple[str, str]
Batch = dict[str, Tensor]
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class DistilResult:
    """What a distillation did: FLOPs (teacher forward and student training, with padding), curve, texts per second."""

    folder: Path
    steps: int
    flops: int
    seconds: float
    examples_per_second: float
    curve: tuple[dict[str, float], ...]


def distil_model(
    teacher_folder: str | Path,
    texts: Sequence[Text],
    shape: Shape,
    options: DistilOptions,
    out_folder: str | Path,
    seed: int,
    *,
    precision: str = "fp32",
    device: str = "cpu",
    progress: Progress | None = None,
    log_path: str | Path | None = None,
) -> DistilResult:
    """Distil the teacher into a new encoder of `shape`, saved in `out_folder` with the teacher's tokenizer.

    A text is one string, or a pair that is joined as [CLS] a [SEP] b [SEP]. The folder holds `model.safetensors`,
    `config.json`, the tokenizer's files and `fit_dense.safetensors`: weight [w_L, w_S], bias [w_L]. Equal seeds, texts,
    options and thread counts give equal bytes. `progress` and the JSONL file `log_path` get a record per
    `options.log_every` steps: step, loss, hidden, attention, learning_rate, examples_per_second, padding.
    Raises ValueError for a shape that cannot follow the teacher's, and where there are no texts.
    """
    teacher_folder = Path(teacher_folder)
    teacher_shape = Shape.of(teacher_folder)
    check_shapes(teacher_shape, shape)
    if not texts:
        raise ValueError(f"distilling {teacher_folder}: there are no texts; give the train texts of the study's tasks")
    started = time.monotonic()
    torch.manual_seed(seed)
    teacher = load_encoder(teacher_folder).to(device).requires_grad_(False)
    student = BertModel(student_config(teacher.config, shape, options.dropout)).to(device)
    if device == "cpu":
        # On CPU torch's fused attention is slower than its parts: 3 times for heads of 16 with backward.
        teacher.set_attn_implementation("eager")
        student.set_attn_implementation("eager")
    autocast = autocast_for(device, precision)
    encoded = _encode(teacher_folder, texts, min(options.max_tokens, teacher_shape.positions, shape.positions))
    order = torch.Generator().manual_seed(seed)
    sample = torch.randperm(len(encoded), generator=order)[: options.start_texts].tolist()
    start_batches = [_to(batch, device) for batch in _batches(encoded, sample, options.batch_size)]
    weight, bias = _start(student, teacher, start_batches, autocast, options.start)
    fit_dense = nn.Linear(shape.width, teacher_shape.width).to(device)
    with torch.no_grad():
        fit_dense.weight.copy_(weight)
        fit_dense.bias.copy_(bias)

    loss_of = _Losses(student, teacher, fit_dense, options)
    loss_of.measure_variance(start_batches, autocast)
    parameters = [*student.named_parameters(), *fit_dense.named_parameters()]
    optimiser = torch.optim.AdamW(
        parameter_groups([p for _, p in parameters], options.weight_decay), lr=options.learning_rate, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, options))
    start_sizes = [tuple(batch["input_ids"].shape) for batch in start_batches]
    flops = distil_start_flops(shape, teacher_shape, start_sizes, options.start)
    student.train()
    if log_path is not None:
        Path(log_path).parent.mkdir(parents=True, exist_ok=True)
        Path(log_path).write_text("")
    log: list[dict[str, float]] = []
    seen = tokens = real = 0
    sums: dict[str, Tensor] = {}
    for step, batch in zip(range(1, options.steps + 1), _epochs(encoded, options.batch_size, order), strict=False):
        batch = _to(batch, device)
        with autocast():
            terms = loss_of(batch)
        optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        nn.utils.clip_grad_norm_([p for _, p in parameters if p.grad is not None], options.clip)
        optimiser.step()
        schedule.step()
        rows, length = batch["input_ids"].shape
        seen += rows
        tokens += rows * length
        real += int(batch["attention_mask"].sum())
        flops += rows * distil_step_flops(teacher_shape, shape, length)
        for name, value in terms.items():
            sums[name] = sums.get(name, 0) + value.detach()
        if step % options.log_every == 0 or step == options.steps:
            count = (step - 1) % options.log_every + 1
            record = {"step": step, **{name: float(value) / count for name, value in sums.items()}}
            if not math.isfinite(record["loss"]):
                raise ValueError(
                    f"distilling {teacher_folder}: the loss is not finite at step {step}; lower learning_rate"
                )
            record["learning_rate"] = schedule.get_last_lr()[0]
            record["examples_per_second"] = seen / (time.monotonic() - started)
            record["padding"] = 1 - real / tokens
            log.append({name: record[name] for name in ("step", "loss", "hidden", "attention")})
            sums = {}
            if log_path is not None:
                with open(log_path, "a") as handle:
                    handle.write(json.dumps(record) + "\n")
            if progress is not None:
                progress(record)
    loss_of.close()
    student.eval()
    fit_pooler(student, teacher, start_batches, autocast)
    seconds = time.monotonic() - started
    _save(Path(out_folder), teacher_folder, student, fit_dense)
    return DistilResult(Path(out_folder), options.steps, flops, seconds, seen / seconds, tuple(log))


def student_config(teacher: BertConfig, shape: Shape, dropout: float) -> BertConfig:
    """The teacher's config with the student's numbers."""
    changed = {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.width,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.ffn,
        "max_position_embeddings": shape.positions,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "architectures": ["BertModel"],
    }
    kept = {key: value for key, value in teacher.to_dict().items() if key not in ("_name_or_path", "dtype")}
    return BertConfig.from_dict({**kept, **changed})


def autocast_for(device: str, precision: str) -> Callable[[], AbstractContextManager]:
    """A maker of contexts: autocast for "bf16", nothing for "fp32"."""
    if precision == "bf16":
        return lambda: torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext


class _Losses:
    """The distillation's loss on a batch; catches q and k with forward hooks, so that attention stays fused."""

    def __init__(self, student: BertModel, teacher: BertModel, fit_dense: nn.Linear, options: DistilOptions) -> None:
        self.student, self.teacher, self.fit_dense, self.options = student, teacher, fit_dense, options
        self.step = teacher.config.num_hidden_layers // student.config.num_hidden_layers
        self.caught: dict[str, Tensor] = {}
        self.handles = []
        for who, model, step in (("S", student, 1), ("L", teacher, self.step)):
            for index in range(student.config.num_hidden_layers):
                attention = model.encoder.layer[(index + 1) * step - 1].attention.self
                for part in ("query", "key"):
                    hook = self._keep(f"{who}.{index}.{part}")
                    self.handles.append(getattr(attention, part).register_forward_hook(hook))
        self.hidden_variance = [1.0] * (student.config.num_hidden_layers + 1)
        self.score_variance = [1.0] * student.config.num_hidden_layers

    def _keep(self, name: str) -> Callable:
        def keep(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            self.caught[name] = output

        return keep

    def close(self) -> None:
        """Take the hooks off again."""
        for handle in self.handles:
            handle.remove()

    def measure_variance(self, batches: Sequence[Batch], autocast: Callable[[], AbstractContextManager]) -> None:
        """Variance of the teacher's states per level (about their mean) and of its scores per layer."""
        layers = self.student.config.num_hidden_layers
        states: list[list[Tensor]] = [[] for _ in range(layers + 1)]
        scores = torch.zeros(layers)
        pairs = 0
        with torch.no_grad(), autocast():
            for batch in batches:
                mask = batch["attention_mask"]
                for level, state in enumerate(self._teacher_states(batch)):
                    states[level].append(state[mask.bool()].float())
                both = mask[:, None, :, None] * mask[:, None, None, :]
                pairs += int(both.sum()) * self.teacher.config.num_attention_heads
                for index in range(layers):
                    scores[index] += float((self._scores("L", index, mask).float() * both).square().sum())
        self.hidden_variance = [float(torch.cat(s).var(0, correction=0).mean().clamp_min(1e-12)) for s in states]
        self.score_variance = [float(s) / pairs + 1e-12 for s in scores]

    def _teacher_states(self, batch: Batch) -> list[Tensor]:
        hidden = self.teacher(**batch, output_hidden_states=True).hidden_states
        return list(hidden[:: self.step])

    def _scores(self, who: str, index: int, mask: Tensor) -> Tensor:
        """Attention scores [b, heads, t, t] before the softmax, less their mean over the real keys of each row."""
        heads = self.student.config.num_attention_heads
        q, k = (
            self.caught[f"{who}.{index}.{part}"].unflatten(-1, (heads, -1)).transpose(1, 2) for part in ("query", "key")
        )  # [b, heads, t, d]
        real = mask[:, None, :, None].to(k.dtype)
        k = k - (k * real).sum(2, keepdim=True) / real.sum(2, keepdim=True)
        return q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Loss and its two terms; each term is the share of the teacher's variance that the student misses."""
        mask = batch["attention_mask"]
        real = mask.bool()
        with torch.no_grad():
            wanted = self._teacher_states(batch)
        given = self.student(**batch, output_hidden_states=True).hidden_states
        hidden = torch.zeros((), device=mask.device)
        for small, large, variance in zip(given, wanted, self.hidden_variance, strict=True):
            error = (self.fit_dense(small[real]) - large[real]).float()
            hidden = hidden + error.square().mean() / variance / len(given)
        both = (mask[:, None, :, None] * mask[:, None, None, :]).float()
        count = both.sum() * self.student.config.num_attention_heads
        attention = torch.zeros((), device=mask.device)
        for index, variance in enumerate(self.score_variance):
            error = (self._scores("S", index, mask) - self._scores("L", index, mask)).float() * both
            attention = attention + error.square().sum() / count / variance / len(self.score_variance)
        total = self.options.hidden_weight * hidden + self.options.attention_weight * attention
        self.caught.clear()
        return {"loss": total, "hidden": hidden, "attention": attention}


def _start(
    student: BertModel,
    teacher: BertModel,
    batches: Sequence[Batch],
    autocast: Callable[[], AbstractContextManager],
    start: str,
) -> tuple[Tensor, Tensor]:
    """Fill the student; returns the projection's weight [w_L, w_S] and bias [w_L]."""
    if start == "teacher":
        return start_from_teacher(student, teacher, batches, autocast)
    large, small = teacher.embeddings, student.embeddings
    basis = state_basis([large.word_embeddings.weight.cpu()], student.config.hidden_size)
    with torch.no_grad():
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
            table = getattr(large, name).weight.cpu().double()
            own = getattr(small, name).weight
            own.copy_((table @ basis.directions)[: len(own)])
    return basis.weight.float(), basis.mean.float()


def _encode(folder: Path, texts: Sequence[Text], max_tokens: int) -> list[tuple[list[int], list[int]]]:
    """Ids and type ids of each text, cut to `max_tokens` and not padded, in the order given."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()  # files from sentence encoders carry padding to 128
    tokenizer.enable_truncation(max_tokens)
    return [(code.ids, code.type_ids) for code in tokenizer.encode_batch(list(texts))]


def _batches(encoded: Sequence[tuple[list[int], list[int]]], order: Sequence[int], size: int) -> Iterator[Batch]:
    """Batches [b, t] of texts of like length: `order` is cut into windows of `MIXED_WINDOW` batches, sorted."""
    for start in range(0, len(order), size * MIXED_WINDOW):
        window = sorted(order[start : start + size * MIXED_WINDOW], key=lambda i: len(encoded[i][0]))
        for first in range(0, len(window), size):
            rows = [encoded[i] for i in window[first : first + size]]
            longest = max(len(ids) for ids, _ in rows)
            yield {
                "input_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows]),
                "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
                "token_type_ids": torch.tensor([types + [0] * (longest - len(types)) for _, types in rows]),
            }


def _epochs(encoded: Sequence[tuple[list[int], list[int]]], size: int, order: torch.Generator) -> Iterator[Batch]:
    """Batches without end, each epoch in a new order; batches are shuffled too, so that lengths come mixed."""
    while True:
        batches = list(_batches(encoded, torch.randperm(len(encoded), generator=order).tolist(), size))
        for index in torch.randperm(len(batches), generator=order).tolist():
            yield batches[index]


def _to(batch: Batch, device: str) -> Batch:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _rate(step: int, options: DistilOptions) -> float:
    """Factor of the learning rate at a step counted from 0: linear warm-up, then linear decay to 0."""
    warm = max(1, round(options.warmup * options.steps))
    if step < warm:
        return (step + 1) / warm
    return max(0.0, (options.steps - step) / max(1, options.steps - warm))


def _save(out: Path, teacher_folder: Path, student: BertModel, fit_dense: nn.Linear) -> None:
    with files.atomic_folder(out) as folder:
        student.save_pretrained(folder)
        projection = {"weight": fit_dense.weight.detach().cpu().contiguous(), "bias": fit_dense.bias.detach().cpu()}
        save_file(projection, folder / "fit_dense.safetensors")
        files.copy_into(teacher_folder, folder, files.TOKENIZER)
