"""Pool the hidden states of a text's tokens into one vector."""

from torch import Tensor


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """Pool hidden states [b, t, w] with their attention mask [b, t] into [b, w]: "cls" (first token) or "mean".

    The mean is over all tokens but padding. Raises ValueError for any other name.
    """
    if how == "cls":
        return hidden[:, 0]
    if how == "mean":
        weights = mask.to(hidden.dtype).unsqueeze(-1)
        return (hidden * weights).sum(1) / weights.sum(1)
    raise ValueError(f"unknown pooling {how!r}; available: cls, mean")
