"""Pre-train an encoder on unlabelled text by masked language modelling, without a teacher.

Devlin et al. 2019 (arXiv 1810.04805), section 3.1 and appendix A.1: the model predicts some tokens of each text; of
these 80% are replaced by [MASK], 10% by a random token, and 10% are left unchanged. As in RoBERTa (Liu et al. 2019,
arXiv 1907.11692, section 4), masks are drawn anew each time a text is seen and there is no next-sentence task, so no
loss reaches the pooler, which keeps its initial weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from graft.config.models import MaskedOptions
from graft.encoders.batches import guessed_tokens
from graft.encoders.models import load_config
from graft.encoders.network import Encoder
from graft.flops.counts import masked_lm_flops
from graft.registry.shapes import Shape
from graft.tasks.tokens import load_tokenizer
from graft.training.initial import draw_weights, initial_encoder
from graft.training.saving import save_encoder
from graft.training.unlabelled import Batch, Running, Steps, Text, encode, epochs, train

# Shares of the tokens to predict that are replaced by [MASK], and by a random token.
SHOWN_AS_MASK, SHOWN_AS_ANY = 0.8, 0.1
# Label of a token that is not to be predicted.
NOTHING = -100


def pretrain_model(
    like_folder: str | Path,
    texts: Sequence[Text],
    options: MaskedOptions,
    out_folder: str | Path,
    seed: int,
    running: Running | None = None,
) -> Steps:
    """Train a new encoder with the config and tokenizer of `like_folder`, saved in `out_folder`.

    Its initial weights are those of `initialise_model` with the same seed. A text is one string, or a pair that is
    joined as [CLS] a [SEP] b [SEP]; texts without a maskable token are left out. Output is byte-identical for equal
    seeds, texts, options and thread counts. Records: step, loss (nats per predicted token), learning_rate,
    examples_per_second, padding. Raises ValueError if there are no texts.
    """
    like_folder, running = Path(like_folder), running or Running()
    torch.manual_seed(seed)  # for dropout
    draws = torch.Generator().manual_seed(seed)
    shape, config = Shape.of(like_folder), load_config(like_folder)
    vocabulary = Vocabulary.of(like_folder)
    encoded = encode(like_folder, texts, min(options.max_tokens, shape.positions))
    encoded = [text for text in encoded if not vocabulary.special.issuperset(text[0])]
    if not encoded:
        raise ValueError(f"pre-training like {like_folder}: no texts; give the train texts of the study's tasks")
    encoder = initial_encoder(config, draws).to(running.device)
    guesser = Guesser(shape, config.initializer_range, draws).to(running.device)
    # Removed during training: no loss depends on it.
    pooler, encoder.pooler = encoder.pooler, None

    def losses(batch: Batch) -> dict[str, Tensor]:
        return {"loss": guesser.loss(encoder, batch)}

    def step_flops(batch: Batch) -> int:
        rows, length = batch["input_ids"].shape
        return masked_lm_flops(shape, rows, length, int((batch["labels"] != NOTHING).sum()))

    encoder.train()
    parameters = [*encoder.parameters(), *guesser.parameters()]
    batches = masked_batches(epochs(encoded, options.batch_size, draws), vocabulary, options.masked, draws)
    done = train(parameters, batches, losses, step_flops, options, f"pre-training like {like_folder}", running)
    encoder.pooler = pooler
    save_encoder(encoder.eval(), like_folder, out_folder)
    return done


class Guesser(nn.Module):
    """BERT's masked-LM head: a dense layer with GELU and LayerNorm, then a decoder tied to the word embeddings."""

    def __init__(self, shape: Shape, deviation: float, draws: torch.Generator) -> None:
        super().__init__()
        width = shape.width
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, shape.epsilon))
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        draw_weights(self, deviation, draws)

    def loss(self, encoder: Encoder, batch: Batch) -> Tensor:
        """Mean cross-entropy over the tokens to predict; logits are computed for these only. `batch` has `labels`."""
        inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
        guessed = batch["labels"] != NOTHING
        states = encoder(**inputs).last_hidden_state[guessed]  # [guessed, w]
        logits = linear(self.transform(states), encoder.embeddings.word_embeddings.weight, self.bias)
        return cross_entropy(logits.float(), batch["labels"][guessed])


@dataclass(frozen=True)
class Vocabulary:
    """Token ids of a vocabulary: [MASK], the special tokens, which are never masked, and all others in rising order."""

    mask: int
    special: frozenset[int]
    ordinary: Tensor

    @classmethod
    def of(cls, folder: Path) -> "Vocabulary":
        """Read the vocabulary of a model folder; raises ValueError if it lacks one of the special tokens."""
        known, special = load_tokenizer(folder).get_vocab(), Shape.of(folder).kind.special
        if special.mask not in known:
            raise ValueError(f"{folder}/tokenizer.json: no token {special.mask}; masked language modelling needs one")
        ids = [known[token] for token in (*special.framing, special.unknown, special.mask)]
        ordinary = sorted(set(known.values()) - set(ids))
        return cls(ids[-1], frozenset(ids), torch.tensor(ordinary))


def masked_batches(
    batches: Iterator[Batch], vocabulary: Vocabulary, share: float, draws: torch.Generator
) -> Iterator[Batch]:
    """Mask tokens of the batches and add `labels` [b, t]: the ids of the tokens to predict, NOTHING elsewhere."""
    for batch in batches:
        ids = batch["input_ids"]
        maskable = batch["attention_mask"].bool() & ~torch.isin(ids, torch.tensor(sorted(vocabulary.special)))
        shown, guessed = mask(ids, maskable, vocabulary, share, draws)
        yield {**batch, "input_ids": shown, "labels": torch.where(guessed, ids, NOTHING)}


def mask(
    ids: Tensor, maskable: Tensor, vocabulary: Vocabulary, share: float, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mask ids [b, t]; returns the ids to show to the model, and a mask [b, t] of those to predict: `share` of each
    row's maskable tokens, at least one."""
    wanted = torch.from_numpy(guessed_tokens(maskable.sum(1).numpy(), share))
    places = torch.rand(ids.shape, generator=draws).masked_fill(~maskable, 2.0)
    guessed = (places.argsort(dim=1, stable=True).argsort(dim=1) < wanted[:, None]) & maskable
    fate = torch.rand(ids.shape, generator=draws)
    others = vocabulary.ordinary[torch.randint(len(vocabulary.ordinary), ids.shape, generator=draws)]
    shown = torch.where(guessed & (fate < SHOWN_AS_MASK), vocabulary.mask, ids)
    replaced = guessed & (fate >= SHOWN_AS_MASK) & (fate < SHOWN_AS_MASK + SHOWN_AS_ANY)
    return torch.where(replaced, others, shown), guessed
