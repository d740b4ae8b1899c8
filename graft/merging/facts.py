"""Facts of the kinds of merge methods, and their costs. Imports no torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from graft.flops.counts import classifier_flops
from graft.registry.alignments import EASY_RIDGE
from graft.registry.methods import HEADS, KINDS, NEEDS
from graft.registry.options import Options
from graft.registry.shapes import Shape


class Cost(NamedTuple):
    """FLOPs of one `prepare` and of one `apply`, matrix products only."""

    prepare: int = 0
    apply: int = 0


class Crossing(NamedTuple):
    """Whether a method crosses a difference between two models: "exact", "works" or "refused", and why.

    Exact: a large model that computes what the small one did comes to compute, at strength 1, what fine-tuning made of
    the small one, but for rounding.
    """

    verdict: str
    why: str


# Differences between a small and a large model, in words.
DIFFERENCES = MappingProxyType(
    {
        "width": "width",
        "depth": "depth",
        "vocabulary": "vocabulary",
        "norms": "LayerNorms before, not after",
        "gates": "gated feed-forward",
    }
)
TWO_VOCABULARIES = Crossing("works", "spans of text stand for tokens; embeddings move where both have the token")
# Of methods that map the change from space to space.
BY_MAPS = MappingProxyType(
    {
        "width": Crossing("exact", "where units are copied, at ridge 0"),
        "depth": Crossing("exact", "past blocks that change nothing behind LayerNorms of gain 1 and bias 0"),
        "vocabulary": TWO_VOCABULARIES,
        "norms": Crossing("works", "no block with LayerNorms before computes what one with LayerNorms after does"),
        "gates": Crossing("exact", "where the gate is 1; it is left alone"),
    }
)


class TwoShapes(Options):
    """A method that merges a small model into a large one.

    needs: inputs that it reads, from NEEDS.
    label_use: labels that the merge uses, apart from its head: "none", "select" or "train".
    heads: the heads to choose from; () if the method has no such option.
    inference: the models that run for each example.
    crosses: which of DIFFERENCES it crosses, from a BERT to a model that differs in nothing else.
    recipe: raised whenever the method's results or FLOPs change, so that finished merges are made again.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    label_use: ClassVar[str]
    heads: ClassVar[tuple[str, ...]] = ()
    inference: ClassVar[tuple[str, ...]]
    crosses: ClassVar[Mapping[str, Crossing]] = MappingProxyType({})
    recipe: ClassVar[int] = 0
    # Values for methods that have no such option.
    depth, evidence, small = "uniform", "activations", "finetuned"
    alignment, map_ridge, text_tokens = "least_squares", 1.0, 0

    def __init_subclass__(cls) -> None:
        """Raise ValueError for an unknown need or head."""
        super().__init_subclass__()
        for given, known in ((cls.needs, NEEDS), (cls.heads, HEADS)):
            if unknown := set(given) - set(known):
                raise ValueError(f"method {cls.name!r}: {min(unknown)!r} is not one of {', '.join(known)}")

    def check(self) -> None:
        if self.evidence == "weights" and self.depth == "cka":
            raise ValueError("depth cka compares activations, which evidence weights has none of")

    @classmethod
    def refusal(cls, small: Shape, large: Shape) -> str:
        """Why two models of these shapes are refused; empty if they are not."""
        differs = {"norms": small.kind.prenorm != large.kind.prenorm, "gates": small.kind.gated != large.kind.gated}
        refused = (one.why for name, one in cls.crosses.items() if one.verdict == "refused" and differs.get(name))
        return next(refused, "")

    @property
    def closed_form(self) -> bool:
        """Whether nothing is trained, so that a few labels are enough."""
        return True

    @property
    def needs_calibration(self) -> bool:
        """Whether the moments of a calibration are read."""
        return "moments" in self.needs and self.evidence != "weights"

    @property
    def needs_many_tokens(self) -> bool:
        """Whether maps are underdetermined if a calibration has fewer tokens than units.

        That is so for least squares with next to no ridge.
        """
        solved = self.alignment in ("least_squares", "whitened") and self.map_ridge < EASY_RIDGE
        return self.needs_calibration and solved

    def grid(self, seed: int | str) -> tuple[float, ...]:
        """Strengths to try, in rising order and 0 among them; random ones depend on `seed` alone."""
        return tuple(self.values()["strengths"])

    def answers(self, small: Shape, large: Shape, tokens: int, outputs: int) -> list[int]:
        """FLOPs of one example padded to `tokens`, for each of the forms that a system may be made in."""
        shapes = {"small": small, "large": large}
        return [sum(classifier_flops(shapes[role], tokens, outputs) for role in self.inference)]


class Weights(TwoShapes):
    """A method that makes one model of the large shape."""

    kind, label_use = KINDS[0], "select"
    heads: ClassVar[tuple[str, ...]] = HEADS
    inference: ClassVar[tuple[str, ...]] = ("large",)

    @property
    def of_shared_tokens(self) -> str:
        """The remedy where two vocabularies have no token in common; empty if the method needs none."""
        given = self.values()
        if self.evidence == "weights":
            return "set evidence to activations"
        if given.get("embedding_delta", True):
            return "set embedding_delta to false" if "embedding_delta" in given else "use another method"
        return ""

    def flops(self, small: Shape, large: Shape, tokens: int) -> Cost:
        """FLOPs of the two halves, without calibration and search; `tokens`: how many the texts have that it reads."""
        return Cost()
