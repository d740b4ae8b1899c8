"""Depth maps: which large layers a small model's layers are merged into. Layers are counted from 0.

A depth map is a tuple of (small layer, large layer) in rising order. Each large layer appears at most once; a small
layer may appear several times, and its change is then divided among its large layers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from graft.registry.shapes import Shape

DEPTHS = ("uniform", "spread", "cka", "extend", "midpoints")
# Those that first make the small model as deep as the large one: `extend` repeats each layer as often as `spread` maps
# it, `midpoints` puts means of two layers between them.
DEEPENED = ("extend", "midpoints")
# Tokens on which all pairs of layers are compared: enough to tell layers apart.
SIMILARITY_TOKENS = 8192
DepthMap = tuple[tuple[int, int], ...]


def uniform(small_layers: int, large_layers: int) -> DepthMap:
    """Map each small layer to one large layer, evenly spaced and ending in the last: 4 in 12 gives 2, 5, 8, 11.

    Small layer m goes to m L / S, counted from 1 and rounded half up. Source: TinyBERT (Jiao et al. 2020, arXiv
    1909.10351), section 3.1, uniform strategy. Raises ValueError if the small model is deeper.
    """
    _check_layers(small_layers, large_layers)
    targets = ((2 * m * large_layers + small_layers) // (2 * small_layers) - 1 for m in range(1, small_layers + 1))
    return tuple(enumerate(targets))


def spread(small_layers: int, large_layers: int) -> DepthMap:
    """Map every large layer to one small layer: 2 in 4 gives (0, 0), (0, 1), (1, 2), (1, 3).

    Raises ValueError if the small model is deeper.
    """
    _check_layers(small_layers, large_layers)
    return tuple((g * small_layers // large_layers, g) for g in range(large_layers))


def midpoints(small_layers: int, large_layers: int) -> DepthMap:
    """Map every large layer to the small layer it is, or to the lower of the two whose mean it is.

    With as many new layers as small ones or more, new layers go evenly behind all of them, the last one included, which
    they then repeat; with fewer, behind all but the last: 3 in 5 gives 0, 0, 1, 1, 2, whose second and fourth layers
    are means. Source: the depth extension of Theseus' authors (merge-and-rebase: `interpolate_per_weight`, `spread`).
    Raises ValueError if the small model is deeper.
    """
    _check_layers(small_layers, large_layers)
    new = large_layers - small_layers
    places = small_layers if new >= small_layers else max(1, small_layers - 1)
    lower = sorted([*range(small_layers), *(n * places // new for n in range(new))])
    return tuple((m, g) for g, m in enumerate(lower))


def by_similarity(similarity: Sequence[Sequence[float]]) -> DepthMap:
    """Map each small layer to one large layer, in rising order, with the largest sum of similarities [S, L].

    A dynamic program over the last small layer placed, as in CLAFusion (Nguyen et al. 2021, arXiv 2110.15538, section
    4.1) with costs 1 - similarity. Ties go to the later large layer. Raises ValueError if S > L.
    """
    small, large = len(similarity), len(similarity[0])
    _check_layers(small, large)
    # best[m][g]: largest sum for small layers 0 to m with m placed at g or before; took[m][g]: where m is then placed.
    best = [[float("-inf")] * large for _ in range(small)]
    took = [[-1] * large for _ in range(small)]
    for m in range(small):
        for g in range(m, large):
            before = 0.0 if m == 0 else best[m - 1][g - 1]
            here = before + float(similarity[m][g])
            left = best[m][g - 1] if g > m else float("-inf")
            best[m][g], took[m][g] = (here, g) if here >= left else (left, took[m][g - 1])
    found = []
    g = large - 1
    for m in reversed(range(small)):
        g = took[m][g]
        found.append((m, g))
        g -= 1
    return tuple(reversed(found))


def named(depth: str, small_layers: int, large_layers: int, similarity: Sequence[Sequence[float]]) -> DepthMap:
    """Return the depth map called `depth`, one of DEPTHS; cka reads the blocks' outputs' `similarity` [S, L].

    For DEEPENED ones, the map gives the small layer that each layer of the deepened small model is made from.
    """
    if depth == "cka":
        return by_similarity(similarity)
    maps = {"uniform": uniform, "spread": spread, "extend": spread, "midpoints": midpoints}
    return maps[depth](small_layers, large_layers)


def pairs(depth: str, small_layers: int, large_layers: int) -> int:
    """Number of pairs of layers in the depth map called `depth`."""
    return large_layers if depth == "spread" or depth in DEEPENED else small_layers


def as_deep(depth: str, small: Shape, large: Shape) -> Shape:
    """Shape of the small model as the depth map called `depth` uses it."""
    return replace(small, layers=large.layers) if depth in DEEPENED else small


def shares(depth_map: DepthMap) -> dict[tuple[int, int], float]:
    """Return the share of a small layer's change that each of its large layers gets; sums to 1 per small layer."""
    counts = Counter(m for m, _ in depth_map)
    return {(m, g): 1 / counts[m] for m, g in depth_map}


def check(depth_map: DepthMap, small_layers: int, large_layers: int) -> None:
    """Raise ValueError unless the map uses every small layer, in rising order, and no large layer twice."""
    small, large = [m for m, _ in depth_map], [g for _, g in depth_map]
    rising = all(a < b for a, b in zip(large, large[1:], strict=False)) and small == sorted(small)
    if set(small) != set(range(small_layers)) or not rising or not all(0 <= g < large_layers for g in large):
        raise ValueError(
            f"depth map {[list(pair) for pair in depth_map]}: must place all of {small_layers} small layers, in rising "
            f"order, on different layers from 0 to {large_layers - 1}"
        )


def _check_layers(small: int, large: int) -> None:
    if not 0 < small <= large:
        raise ValueError(f"{small} small layers do not map onto {large} large ones; 1 to {large} can be mapped")
