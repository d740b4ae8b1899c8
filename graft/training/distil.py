"""Distil a small encoder from a large one on unlabelled text: general distillation as in TinyBERT.

Jiao et al. 2020 (arXiv 1909.10351), section 3.1: the student's hidden states, through one learned projection, follow
the teacher's at the embedding output (eq. 9) and after layers m -> g(m) = m L / S (eq. 8), and its attention scores
before the softmax follow the teacher's (eq. 7). This version differs in three ways: each term is divided by the
teacher's variance, so that terms are comparable and 1 means "nothing learned"; keys are first centred over the tokens
of a text, since softmax is invariant to a shift shared by all keys; and the student starts from a closed-form fit
(`graft.training.distil_start`).
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedConfig

from graft.config.models import DistilOptions
from graft.encoders.models import class_of, load_encoder, new_encoder
from graft.encoders.network import Encoder, set_attention
from graft.encoders.saving import save_model
from graft.flops.counts import distil_start_flops, distil_step_flops
from graft.io import files
from graft.registry.shapes import Shape, check_shapes
from graft.training.distil_start import fit_pooler, start_from_teacher, state_basis
from graft.training.unlabelled import (
    Autocast,
    Batch,
    Running,
    Steps,
    Text,
    autocast_for,
    encode,
    epochs,
    length_batches,
    on_device,
    train,
)


def distil_model(
    teacher_folder: str | Path,
    texts: Sequence[Text],
    shape: Shape,
    options: DistilOptions,
    out_folder: str | Path,
    seed: int,
    running: Running | None = None,
) -> Steps:
    """Distil the teacher into a new encoder of `shape`, saved in `out_folder` with the teacher's tokenizer.

    A text is one string, or a pair that is joined as [CLS] a [SEP] b [SEP]. The folder holds `model.safetensors`,
    `config.json`, the tokenizer files and `fit_dense.safetensors`: weight [w_L, w_S], bias [w_L]. Output is
    byte-identical for equal seeds, texts, options and thread counts. Records: step, loss, hidden, attention,
    learning_rate, examples_per_second, padding. Raises ValueError if `shape` cannot follow the teacher's, or if there
    are no texts.
    """
    teacher_folder, running = Path(teacher_folder), running or Running()
    device, autocast = running.device, autocast_for(running.device, running.precision)
    teacher_shape = Shape.of(teacher_folder)
    check_shapes(teacher_shape, shape)
    if not texts:
        raise ValueError(f"distilling {teacher_folder}: no texts; give the train texts of the study's tasks")
    torch.manual_seed(seed)
    teacher = load_encoder(teacher_folder).to(device).requires_grad_(False)
    student = new_encoder(student_config(teacher.config, shape, options.dropout)).to(device)
    if device == "cpu":
        # On a CPU torch's fused attention is slower than eager attention: 3 times, for heads of width 16 with backward.
        set_attention(teacher, "eager")
        set_attention(student, "eager")
    encoded = encode(teacher_folder, texts, min(options.max_tokens, teacher_shape.positions, shape.positions))
    order = torch.Generator().manual_seed(seed)
    sample = torch.randperm(len(encoded), generator=order)[: options.start_texts].tolist()
    start_batches = [on_device(batch, device) for batch in length_batches(encoded, sample, options.batch_size)]
    weight, bias = _start(student, teacher, start_batches, autocast, options.start)
    fit_dense = nn.Linear(shape.width, teacher_shape.width).to(device)
    with torch.no_grad():
        fit_dense.weight.copy_(weight)
        fit_dense.bias.copy_(bias)
    loss_of = _Losses(student, teacher, fit_dense, options)
    loss_of.measure_variance(start_batches, autocast)
    start_sizes = [(len(ids), ids.shape[1]) for ids in (batch["input_ids"] for batch in start_batches)]
    start_flops = distil_start_flops(shape, teacher_shape, start_sizes, options.start)

    def step_flops(batch: Batch) -> int:
        rows, length = batch["input_ids"].shape
        return rows * distil_step_flops(teacher_shape, shape, length)

    student.train()
    parameters, batches = [*student.parameters(), *fit_dense.parameters()], epochs(encoded, options.batch_size, order)
    done = train(parameters, batches, loss_of, step_flops, options, f"distilling {teacher_folder}", running)
    loss_of.close()
    student.eval()
    fit_pooler(student, teacher, start_batches, autocast)
    projection = {"weight": fit_dense.weight.detach().cpu().contiguous(), "bias": fit_dense.bias.detach().cpu()}
    with files.atomic_folder(out_folder) as folder:
        save_model(student, folder)
        save_file(projection, folder / "fit_dense.safetensors")
        files.copy_into(teacher_folder, folder, files.TOKENIZER)
    return Steps(start_flops + done.flops, done.curve)


def student_config(teacher: PreTrainedConfig, shape: Shape, dropout: float) -> PreTrainedConfig:
    """Copy the teacher's config with the student's dimensions and dropout."""
    hidden, attention, _ = shape.kind.dropouts
    changed = {hidden: dropout, attention: dropout, "architectures": [class_of(teacher, head=False)]}
    kept = {key: value for key, value in teacher.to_dict().items() if key not in ("_name_or_path", "dtype")}
    return type(teacher).from_dict({**kept, **shape.kind.sizes(vars(shape)), **changed})


class _Losses:
    """Distillation loss on a batch; forward hooks capture q and k, so that attention can stay fused."""

    def __init__(self, student: Encoder, teacher: Encoder, fit_dense: nn.Linear, options: DistilOptions) -> None:
        self.student, self.teacher, self.fit_dense, self.options = student, teacher, fit_dense, options
        self.step = teacher.shape.layers // student.shape.layers
        self.caught: dict[str, Tensor] = {}
        self.handles = []
        for who, model, step in (("S", student, 1), ("L", teacher, self.step)):
            for index in range(student.shape.layers):
                attention = model.encoder.layer[(index + 1) * step - 1].attention.self
                for part in ("query", "key"):
                    hook = functools.partial(self._keep, f"{who}.{index}.{part}")
                    self.handles.append(getattr(attention, part).register_forward_hook(hook))
        self.hidden_variance = [1.0] * (student.shape.layers + 1)
        self.score_variance = [1.0] * student.shape.layers

    def _keep(self, name: str, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.caught[name] = output

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self.handles:
            handle.remove()

    def measure_variance(self, batches: Sequence[Batch], autocast: Autocast) -> None:
        """Measure the variance of the teacher's states per level (about their mean) and of its scores per layer."""
        layers = self.student.shape.layers
        states: list[list[Tensor]] = [[] for _ in range(layers + 1)]
        scores = torch.zeros(layers)
        pairs = 0
        with torch.no_grad(), autocast():
            for batch in batches:
                mask = batch["attention_mask"]
                for level, state in enumerate(self._teacher_states(batch)):
                    states[level].append(state[mask.bool()].float())
                both = mask[:, None, :, None] * mask[:, None, None, :]
                pairs += int(both.sum()) * self.teacher.shape.heads
                for index in range(layers):
                    scores[index] += float((self._scores("L", index, mask).float() * both).square().sum())
        self.hidden_variance = [float(torch.cat(s).var(0, correction=0).mean().clamp_min(1e-12)) for s in states]
        self.score_variance = [float(s) / pairs + 1e-12 for s in scores]

    def _teacher_states(self, batch: Batch) -> list[Tensor]:
        hidden = self.teacher(**batch, output_hidden_states=True).hidden_states
        return list(hidden[:: self.step])

    def _scores(self, who: str, index: int, mask: Tensor) -> Tensor:
        """Attention scores [b, heads, t, t] before the softmax, minus each row's mean over its real keys."""
        heads = self.student.shape.heads
        q, k = (
            self.caught[f"{who}.{index}.{part}"].unflatten(-1, (heads, -1)).transpose(1, 2) for part in ("query", "key")
        )  # [b, heads, t, d]
        real = mask[:, None, :, None].to(k.dtype)
        k = k - (k * real).sum(2, keepdim=True) / real.sum(2, keepdim=True)
        return q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Loss and its two terms; each term is the share of the teacher's variance left unexplained by the student."""
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
        count = both.sum() * self.student.shape.heads
        attention = torch.zeros((), device=mask.device)
        for index, variance in enumerate(self.score_variance):
            error = (self._scores("S", index, mask) - self._scores("L", index, mask)).float() * both
            attention = attention + error.square().sum() / count / variance / len(self.score_variance)
        total = self.options.hidden_weight * hidden + self.options.attention_weight * attention
        self.caught.clear()
        return {"loss": total, "hidden": hidden, "attention": attention}


def _start(
    student: Encoder, teacher: Encoder, batches: Sequence[Batch], autocast: Autocast, start: str
) -> tuple[Tensor, Tensor]:
    """Initialise the student in place; returns the projection's weight [w_L, w_S] and bias [w_L]."""
    if start == "teacher":
        return start_from_teacher(student, teacher, batches, autocast)
    large, small = teacher.embeddings, student.embeddings
    basis = state_basis([large.word_embeddings.weight.cpu()], student.shape.width)
    with torch.no_grad():
        for name, own in small.named_parameters():
            if "embeddings" not in name:
                continue
            table = large.get_parameter(name).cpu().double()
            own.copy_((table @ basis.directions)[: len(own)])
    return basis.weight.float(), basis.mean.float()
