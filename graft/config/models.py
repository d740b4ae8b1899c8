"""The part of a study config about models: where each comes from, how it is fine-tuned, and in which pairs it is.

Imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from graft.config.sections import (
    Commit,
    Few,
    Fraction,
    Name,
    Positive,
    Rate,
    Repo,
    Section,
    Seed,
    Share,
    Tokens,
    Weight,
)

# Of AdamW, and of gradients' norms.
Decay = Annotated[float, Field(ge=0, le=1)]
Clip = Annotated[float, Field(gt=0, le=1e6)]


class HubModel(Section):
    """A BERT on the Hugging Face hub; a `.bin` is turned into safetensors once, read with `weights_only=True`."""

    kind: Literal["hub"]
    repo: Repo
    """Model name, e.g. `google-bert/bert-base-uncased`."""
    revision: Commit
    """Commit of the model, 40 hex digits."""


class PathModel(Section):
    """A BERT in a local Hugging Face folder."""

    kind: Literal["path"]
    folder: str
    """Folder with config.json, model.safetensors and a tokenizer; `$VARIABLES` are filled in."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Of model.safetensors; taken from the file where it is left out."""


class PackageModel(Section):
    """A BERT shipped as safetensors inside an installed Python package; only its files are read."""

    kind: Literal["python_package"]
    package: str
    """Import name of the package."""
    folder: str = "."
    """Folder inside the package."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of model.safetensors."""


class SmallShape(Section):
    """Shape of a distilled model."""

    layers: Positive
    """A divisor of the large model's number."""
    width: Positive
    """Units of the residual stream; a multiple of `heads`."""
    heads: Positive
    """As many as the large model has, since attention scores are matched head by head."""
    ffn: Positive
    """Units of the feed-forward layer; usually 4 times the width."""


class PretrainingOptions(Section):
    """Hyperparameters of any training on unlabelled text."""

    steps: Positive = 400
    """Optimizer steps."""
    batch_size: Positive = 32
    """Texts per step."""
    learning_rate: Rate = 1e-3
    """AdamW's peak."""
    warmup: Share = 0.1
    """Share of the steps with a rising learning rate; it then falls linearly to zero."""
    weight_decay: Decay = 0.01
    """AdamW's."""
    max_tokens: Tokens = 128
    """Texts are cut to this length."""
    clip: Clip = 1.0
    """Largest norm of the gradient."""
    log_every: Positive = 50
    """Steps between lines of the log."""


class DistilOptions(PretrainingOptions):
    """Hyperparameters of one distillation."""

    hidden_weight: Weight = 1.0
    """Factor of the hidden states' loss; both losses are near 1 for an untrained student."""
    attention_weight: Weight = 1.0
    """Factor of the attention scores' loss."""
    start: Literal["teacher", "random"] = "teacher"
    """teacher: closed form from the teacher's layers; random: layers from N(0, 0.02), embeddings from PCA."""
    start_texts: Positive = 512
    """Texts that the closed form is fitted on."""
    dropout: Share = 0.0
    """The student's, written into its config too: so small a model is short of capacity, not of regularisation."""


class MaskedOptions(PretrainingOptions):
    """Hyperparameters of masked language modelling (Devlin et al. 2019, arXiv 1810.04805, section 3.1)."""

    masked: Fraction = 0.15
    """Share of a text's tokens that are to be guessed, one at least: of these 80% become [MASK], 10% a random token."""


class DistilledModel(Section):
    """A small model that this study makes from a large one, on the unlabelled train texts of its tasks."""

    kind: Literal["distilled"]
    teacher: Name
    """Name of the large model."""
    shape: SmallShape
    seed: Seed = 0
    """Of the order of texts, and of first weights that are drawn."""
    options: DistilOptions = DistilOptions()


class RandomModel(Section):
    """A control: another small model's shape and tokenizer with weights that were never trained, fine-tuned alike."""

    kind: Literal["random"]
    like: Name
    """Name of the small model."""
    seed: Seed = 0
    """Of the weights, drawn as BERT's are."""


class MaskedModel(Section):
    """A control: another small model's shape and tokenizer, taught by no large model and fine-tuned alike.

    It is trained by masked language modelling on the unlabelled train texts of the study's tasks.
    """

    kind: Literal["masked_lm"]
    like: Name
    """Name of the small model; dropout is that of its config."""
    seed: Seed = 0
    """Of the first weights (those of a random model), of the order of texts, and of what is masked."""
    options: MaskedOptions = MaskedOptions()


# Models that have another's shape, and all that a study makes itself.
Like = RandomModel | MaskedModel
Made = DistilledModel | Like


class SettingsGrid(Section):
    """Hyperparameters that are tried before a model is fine-tuned: the best by `select`, over seeds of their own."""

    learning_rate: tuple[Rate, ...] = ()
    """Tried in the place of the one above; none: only that."""
    epochs: tuple[Positive, ...] = ()
    """Likewise; each number is a training of its own, since the schedule ends with it."""
    seeds: Few = 1
    """Trainings of every combination. Their seeds are none of the study's."""

    @field_validator("learning_rate", "epochs")
    @classmethod
    def _each_once(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        # As they stand in the names of trials.
        if len({f"{value:g}" for value in values}) < len(values):
            raise ValueError(f"{list(values)} tries a value twice")
        return values


class FineTuning(Section):
    """Hyperparameters of one fine-tuning; the global batch is `batch_size` whatever the number of processes."""

    learning_rate: Rate
    """Peak of the schedule (usual: 2e-5 to 5e-5 for BERT-base, ten times that for very small models)."""
    batch_size: Positive
    """Examples per optimizer step (usual: 16 or 32)."""
    epochs: Positive
    """Passes over `train` (usual: 3; small sets 10 to 20); the best by the primary metric on `select` is kept."""
    max_tokens: Tokens
    """Longest input in tokens (usual: 128); longer ones lose the end of their longest text."""
    weight_decay: Decay = 0.01
    """AdamW's; none on biases and LayerNorm."""
    adam_betas: tuple[Share, Share] = (0.9, 0.999)
    """AdamW's decay of its means of gradients, and of their squares."""
    adam_epsilon: Rate = 1e-6
    """AdamW's, added to what it divides by."""
    warmup: Share = 0.1
    """Share of the steps with a rising learning rate; it then falls linearly to zero."""
    clip: Clip = 1.0
    """Largest norm of the gradient."""
    grid: SettingsGrid | None = None
    """Others to try first; all that they cost is counted with every system that is fine-tuned with the choice."""

    def tried(self) -> list[FineTuning]:
        """The settings of every trial, without a grid of their own; [] where there is no grid."""
        if self.grid is None:
            return []
        rates, epochs = self.grid.learning_rate or (self.learning_rate,), self.grid.epochs or (self.epochs,)
        return [self.with_choice(rate, count) for rate in rates for count in epochs]

    def with_choice(self, learning_rate: float, epochs: int) -> FineTuning:
        """The settings of one trial."""
        return self.model_copy(update={"learning_rate": learning_rate, "epochs": epochs, "grid": None})


class Model(Section):
    """A pre-trained model and how it is fine-tuned."""

    role: Literal["large", "small"]
    """What it is in pairs."""
    source: HubModel | PathModel | PackageModel | DistilledModel | RandomModel | MaskedModel = Field(
        discriminator="kind"
    )
    tokenizer: Name | None = None
    """Model whose tokenizer it uses; its own (a distilled model: its teacher's) where left out."""
    note: str | None = None
    """What a reader of the report must know of it, e.g. that it was trained on a task like these; changes no run."""
    finetune: dict[Name, FineTuning] = {}
    """Per task; a random or masked_lm model has those of the model that it is like for tasks that are left out."""


class Pair(Section):
    """A large model and the small one that is merged into it."""

    large: Name
    """Name of the model that is merged into; fine-tuned, it is the reference."""
    small: Name
    """Name of the model that is merged into it once it is fine-tuned."""

    @property
    def name(self) -> str:
        return f"{self.small}-into-{self.large}"
