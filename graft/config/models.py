"""The part of a study config about models: where each comes from, how it is fine-tuned, and how they are paired.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from graft.config.section import Commit, Few, Fraction, Name, Positive, Rate, Repo, Section, Seed, Share, Tokens, Weight
from graft.io.names import check_known
from graft.registry.tasks import TASKS

# For AdamW, and for the norm of the gradient.
Decay = Annotated[float, Field(ge=0, le=1)]
Clip = Annotated[float, Field(gt=0, le=1e6)]


class HubModel(Section):
    """An encoder on the Hugging Face hub; a `.bin` is read once with `weights_only=True` and saved as safetensors."""

    kind: Literal["hub"]
    repo: Repo
    """Model name, e.g. `google-bert/bert-base-uncased`."""
    revision: Commit
    """Commit of the model, 40 hex digits."""


class PathModel(Section):
    """An encoder in a local Hugging Face folder."""

    kind: Literal["path"]
    folder: str
    """Folder with config.json, model.safetensors and a tokenizer; `$VARIABLES` are expanded."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Checksum of model.safetensors; by default computed from the file."""


class PackageModel(Section):
    """An encoder shipped as safetensors inside an installed Python package; only its files are read."""

    kind: Literal["python_package"]
    package: str
    """Import name of the package."""
    folder: str = "."
    """Folder inside the package."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Checksum of model.safetensors."""


class SmallShape(Section):
    """Shape of a distilled model."""

    layers: Positive
    """Number of layers; must divide the large model's."""
    width: Positive
    """Size of the hidden states; a multiple of `heads`."""
    heads: Positive
    """Number of attention heads; must equal the large model's, since attention scores are matched head by head."""
    ffn: Positive
    """Units of the feed-forward layer; usually 4 times the width."""


class PretrainingOptions(Section):
    """Hyperparameters of training on unlabelled text."""

    steps: Positive = 400
    """Number of optimizer steps."""
    batch_size: Positive = 32
    """Texts per step."""
    learning_rate: Rate = 1e-3
    """AdamW's peak learning rate."""
    warmup: Share = 0.1
    """Share of steps over which the learning rate rises; it then falls linearly to zero."""
    weight_decay: Decay = 0.01
    """AdamW's weight decay."""
    max_tokens: Tokens = 128
    """Maximum length of a text; longer ones are truncated."""
    clip: Clip = 1.0
    """Maximum norm of the gradient."""
    log_every: Positive = 50
    """Steps between log lines."""


class DistilOptions(PretrainingOptions):
    """Hyperparameters of one distillation."""

    hidden_weight: Weight = 1.0
    """Weight of the hidden states' loss; both losses are near 1 for an untrained student."""
    attention_weight: Weight = 1.0
    """Weight of the attention scores' loss."""
    start: Literal["teacher", "random"] = "teacher"
    """teacher: in closed form from the teacher's layers; random: layers from N(0, 0.02), embeddings from PCA."""
    start_texts: Positive = 512
    """Number of texts on which the closed form is fitted."""
    dropout: Share = 0.0
    """The student's dropout, also written to its config: a model this small lacks capacity, not regularisation."""


class MaskedOptions(PretrainingOptions):
    """Hyperparameters of masked language modelling (Devlin et al. 2019, arXiv 1810.04805, section 3.1)."""

    masked: Fraction = 0.15
    """Share of a text's tokens to be predicted, at least one: of these 80% become [MASK] and 10% a random token."""


class DistilledModel(Section):
    """A small model that this study distils from a large one, on the unlabelled train texts of its tasks."""

    kind: Literal["distilled"]
    teacher: Name
    """Name of the large model."""
    shape: SmallShape
    seed: Seed = 0
    """Seed of the order of texts and of any random initial weights."""
    options: DistilOptions = DistilOptions()


class RandomModel(Section):
    """A control: another small model's shape and tokenizer with weights that were never trained, fine-tuned alike."""

    kind: Literal["random"]
    like: Name
    """Name of the small model."""
    seed: Seed = 0
    """Seed of the weights, which are drawn like BERT's."""


class MaskedModel(Section):
    """A control: another small model's shape and tokenizer, trained without a large model and fine-tuned alike.

    It is trained by masked language modelling on the unlabelled train texts of the study's tasks.
    """

    kind: Literal["masked_lm"]
    like: Name
    """Name of the small model; its config also gives the dropout."""
    seed: Seed = 0
    """Seed of the initial weights (drawn as for kind random), of the order of texts, and of the masking."""
    options: MaskedOptions = MaskedOptions()


# Models with the shape of another, and all models that a study makes itself.
Like = RandomModel | MaskedModel
Made = DistilledModel | Like


class SettingsGrid(Section):
    """Hyperparameters to try before a model is fine-tuned; the best on `select`, over separate seeds, are used."""

    learning_rate: tuple[Rate, ...] = ()
    """Values to try instead of the one above; empty: only that one."""
    epochs: tuple[Positive, ...] = ()
    """Likewise; each number needs a separate training, since the schedule ends with the last epoch."""
    seeds: Few = 1
    """Trainings per combination. Their seeds differ from the study's."""

    @field_validator("learning_rate", "epochs")
    @classmethod
    def _each_once(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        # Formatted as in the names of trials.
        if len({f"{value:g}" for value in values}) < len(values):
            raise ValueError(f"{list(values)} has a value twice; give each value once")
        return values


class FineTuning(Section):
    """Hyperparameters of one fine-tuning; the global batch is `batch_size` whatever the number of processes."""

    learning_rate: Rate
    """Peak learning rate (usual: 2e-5 to 5e-5 for BERT-base, ten times that for very small models)."""
    batch_size: Positive
    """Examples per optimizer step (usual: 16 or 32)."""
    epochs: Positive
    """Passes over `train` (usual: 3; 10 to 20 for small sets); the best by the primary metric on `select` is kept."""
    max_tokens: Tokens
    """Maximum input length in tokens (usual: 128); in longer inputs the longer text is cut at its end."""
    weight_decay: Decay = 0.01
    """AdamW's weight decay; biases and LayerNorms have none."""
    adam_betas: tuple[Share, Share] = (0.9, 0.999)
    """AdamW's decay rates for the running means of gradients and of their squares."""
    adam_epsilon: Rate = 1e-6
    """AdamW's epsilon, added to the denominator."""
    warmup: Share = 0.1
    """Share of steps over which the learning rate rises; it then falls linearly to zero."""
    clip: Clip = 1.0
    """Maximum norm of the gradient."""
    grid: SettingsGrid | None = None
    """Hyperparameters to try first; the full cost of trying is counted for every system fine-tuned with the choice."""

    def tried(self) -> list[FineTuning]:
        """Return the settings of every trial, without a grid; [] if there is no grid to try."""
        if self.grid is None:
            return []
        rates, epochs = self.grid.learning_rate or (self.learning_rate,), self.grid.epochs or (self.epochs,)
        return [self.with_choice(rate, count) for rate in rates for count in epochs]

    def with_choice(self, learning_rate: float, epochs: int) -> FineTuning:
        """Return the settings of one trial."""
        return self.model_copy(update={"learning_rate": learning_rate, "epochs": epochs, "grid": None})


class Model(Section):
    """A pre-trained model and how it is fine-tuned."""

    role: Literal["large", "small"]
    """The model's role in pairs."""
    source: HubModel | PathModel | PackageModel | DistilledModel | RandomModel | MaskedModel = Field(
        discriminator="kind"
    )
    tokenizer: Name | None = None
    """Model whose tokenizer is used; by default the model's own (for a distilled model, its teacher's). A pair with
    two tokenizers is merged by spans of text, in which both have whole tokens."""
    note: str | None = None
    """A remark for readers of the report, e.g. that the model was trained on a similar task; changes no run."""
    finetune: dict[Name, FineTuning] = {}
    """Hyperparameters per task; for tasks not given, a random or masked_lm model uses those of its `like`."""


class Pair(Section):
    """A large model and the small model that is merged into it."""

    large: Name
    """Name of the model that receives the merge; fine-tuned, it is the reference."""
    small: Name
    """Name of the model that is fine-tuned and then merged into the large one."""

    @property
    def name(self) -> str:
        return f"{self.small}-into-{self.large}"


def tokenizer_of(models: Mapping[str, Model], name: str) -> str:
    """Return the name of the model whose tokenizer a model uses."""
    source = models[name].source
    if isinstance(source, Like):
        return tokenizer_of(models, source.like)
    if (own := models[name].tokenizer) is not None:
        return own
    return tokenizer_of(models, source.teacher) if isinstance(source, DistilledModel) else name


def check_models(models: Mapping[str, Model], tasks: Collection[str]) -> None:
    """Raise ValueError, naming the key, if a model does not fit the models it refers to, or the study's tasks."""
    for name, model in models.items():
        where, source = f"models.{name}", model.source
        if isinstance(source, DistilledModel):
            check_known(f"{where}.source.teacher", source.teacher, models)
            if isinstance(models[source.teacher].source, Made):
                raise ValueError(f"{where}.source.teacher: {source.teacher} is made in this study itself")
            if source.shape.width % source.shape.heads:
                raise ValueError(f"{where}.source.shape: width must be a multiple of heads")
        if isinstance(source, Like):
            _check_like(where, model, source.like, models)
        elif model.tokenizer is not None:
            check_known(f"{where}.tokenizer", model.tokenizer, models)
            if isinstance(models[model.tokenizer].source, Made):
                raise ValueError(
                    f"{where}.tokenizer: {model.tokenizer} uses another model's tokenizer; name that model"
                )
        for task in model.finetune:
            if task not in TASKS:
                check_known(f"{where}.finetune", task, tasks)


def _check_like(where: str, model: Model, like: str, models: Mapping[str, Model]) -> None:
    at = f"{where}.source.like"
    check_known(at, like, models)
    other = models[like]
    if isinstance(other.source, Like):
        raise ValueError(f"{at}: {like} is itself like {other.source.like}; name that model")
    if other.role != "small":
        raise ValueError(f"{at}: {like} has the role {other.role}; name a small model")
    if model.role != "small":
        raise ValueError(f"{where}.role: {model.role}; it must be small, like {like}")
    if model.tokenizer is not None:
        raise ValueError(f"{where}.tokenizer: it always uses the tokenizer of {like}; leave the key out")


def check_pairs(pairs: Sequence[Pair], models: Mapping[str, Model], tasks: Collection[str]) -> None:
    """Raise ValueError, naming the key, if the models of a pair cannot be fine-tuned and merged."""
    for pair in pairs:
        check_role("pairs.large", "large", pair.large, models, tasks)
        check_role("pairs.small", "small", pair.small, models, tasks)
        if pairs.count(pair) > 1:
            raise ValueError(f"pairs: {pair.name} appears twice; give each pair once")


def check_role(where: str, role: str, name: str, models: Mapping[str, Model], tasks: Collection[str]) -> None:
    """Raise ValueError unless a model has a role, and hyperparameters for all tasks."""
    check_known(where, name, models)
    if models[name].role != role:
        raise ValueError(f"{where}: {name} has the role {models[name].role}; name a {role} model")
    for task in tasks:
        if task not in models[name].finetune:
            raise ValueError(f"models.{name}.finetune: no hyperparameters for task {task}")
