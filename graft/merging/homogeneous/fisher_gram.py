"""Compute the statistics that fisher and regmean need from batches of a model's inputs; stored as safetensors."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from graft.encoders.features import fit_rows
from graft.encoders.inference import batches
from graft.encoders.models import load_classifier
from graft.encoders.translation import stored_classifier
from graft.io import files
from graft.io.progress import Report, silent
from graft.registry.shapes import Shape
from graft.tasks.texts import read_texts
from graft.tasks.tokens import TokenisedSplit, load_tokenizer

Batch = Mapping[str, Tensor]


def fisher_diagonal(model: nn.Module, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """The diagonal of a classifier's Fisher information, by parameter name and in the parameters' shapes, float32.

    F = mean over examples x of sum_y p(y | x) (d log p(y | x) / d theta)^2: the exact expectation over the model's own
    predictions, with a backward pass per example and class (Matena & Raffel, arXiv 2111.09832). A model with one
    output is treated as the mean of a normal distribution of variance 1, so F = mean (d output / d theta)^2. The
    paper uses from few to many examples; 256 are enough. Sums are in float64.

    model: called with a batch, returns an object with `logits` [rows, outputs]; put it in eval mode first. batches:
    inputs without labels, each read once. Raises ValueError if there are no examples.
    """
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    sums = {name: torch.zeros_like(p, dtype=torch.float64) for name, p in parameters.items()}
    examples = 0
    for batch in batches:
        for row in range(len(next(iter(batch.values())))):
            logits = model(**{name: tensor[row : row + 1] for name, tensor in batch.items()}).logits[0]
            scores = logits if len(logits) == 1 else logits.log_softmax(dim=0)
            shares = torch.ones_like(scores) if len(logits) == 1 else scores.exp()
            for output, share in enumerate(shares.tolist()):
                gradients = torch.autograd.grad(
                    scores[output], list(parameters.values()), retain_graph=output + 1 < len(scores), allow_unused=True
                )
                for total, gradient in zip(sums.values(), gradients, strict=True):
                    if gradient is not None:
                        total += share * gradient.double().square()
            examples += 1
    if not examples:
        raise ValueError("a Fisher diagonal is computed on examples; there are none")
    return {name: (total / examples).float() for name, total in sums.items()}


@torch.no_grad()
def gram_matrices(model: nn.Module, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """The mean of x^T x over the inputs of every linear layer [in, in], by the name of its weight, float32.

    Padding (0 in a batch's `attention_mask`) is left out; for a layer that reads one vector per text, the mean is over
    texts. Products and sums are in float64. Source: Jin et al., arXiv 2212.09849.

    model: called with a batch; put it in eval mode first. Raises ValueError if there are no examples.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    mask: Tensor | None = None

    def listen(name: str, layer: nn.Linear) -> torch.utils.hooks.RemovableHandle:
        def hear(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            states = inputs[0]
            kept = states[mask] if mask is not None and states.shape[:2] == mask.shape else states.flatten(0, -2)
            kept = kept.double()
            if name not in sums:
                sums[name] = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64, device=kept.device)
                counts[name] = 0
            sums[name].addmm_(kept.T, kept)
            counts[name] += len(kept)

        return layer.register_forward_pre_hook(hear)

    layers = {f"{name}.weight": part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    with ExitStack() as stack:
        for name, layer in layers.items():
            stack.callback(listen(name, layer).remove)
        for batch in batches:
            mask = batch["attention_mask"].bool() if "attention_mask" in batch else None
            model(**batch)
    if not sums:
        raise ValueError("Gram matrices are computed on examples; there are none")
    return {name: (total / counts[name]).float() for name, total in sums.items()}


# By name, which is also the file's stem.
KINDS = {"fisher": fisher_diagonal, "gram": gram_matrices}


def of_folder(
    kind: str, model: Path, text: Path, out: Path, examples: int, max_tokens: int, report: Report = silent
) -> Path:
    """Compute statistics of the classifier in a folder on a file of unlabelled texts, for `merge --statistics`.

    kind: one of KINDS; examples: how many texts to read (a fixed sample); max_tokens: where texts are truncated.
    Returns the file written in `out`. Raises ValueError for an unknown kind, if the file exists, or if the model or the
    texts cannot be read.
    """
    if kind not in KINDS:
        raise ValueError(f"--kind {kind}: must be one of {', '.join(KINDS)}")
    path = out / f"{kind}.safetensors"
    files.check_new(path)
    texts = TokenisedSplit.of_texts(load_tokenizer(model), read_texts(text), str(text), Shape.of(model).kind.special)
    longest = min(max_tokens, Shape.of(model).positions)
    rows = fit_rows(len(texts), examples)

    def read() -> Iterator[Batch]:
        done = 0
        for positions, batch in batches(texts, longest, rows):
            report(done, len(rows), "texts")
            yield batch
            done += len(positions)
        report(done, len(rows), "texts")

    write(KINDS[kind](load_classifier(model), read()), Shape.of(model), path)
    return path


def write(statistics: Mapping[str, Tensor], shape: Shape, path: Path) -> None:
    """Write statistics atomically to `path`, by the names in a classifier's files.

    `--statistics` expects `fisher.safetensors` or `gram.safetensors`.
    """
    # Modules that are stored as one share their inputs, so each has the Gram matrix of all.
    stored = stored_classifier(statistics, shape, (lambda parts: parts[0]) if path.stem == "gram" else torch.cat)
    with files.atomic_file(path) as temporary:
        save_file({name: tensor.cpu().contiguous() for name, tensor in stored.items()}, temporary)
