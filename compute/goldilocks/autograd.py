"""The model once more, in torch's own functions and under autograd: what the formulas are checked against.

Nothing here knows how `compute.goldilocks.transformer` passes backwards. Chapter: Dead-token dynamics.
"""

from typing import NamedTuple

import torch
from torch.nn import functional

from compute.goldilocks.settings import LAYER_NORM_EPS, Settings


class Pass(NamedTuple):
    """What one pass shows, in the weights' dtype."""

    loss: float  # nats per token
    hidden: torch.Tensor  # (P, D), after the last layer norm
    normed: torch.Tensor  # (P, D), the same before that norm's gain and bias
    output: torch.Tensor  # (V, D), the gradient of the output matrix; of both uses together where they are tied
    input: torch.Tensor  # (V, D), the gradient of the input embedding; the same tensor where they are tied


def differentiate(
    settings: Settings, weight: dict[str, torch.Tensor], windows: torch.Tensor, cut: bool = False
) -> Pass:
    """Return loss, hidden states and gradients of the token matrices, by autograd.

    weight: by name, as `transformer.views` gives them; windows (batch, context + 1) of ids. cut: the tied matrix is
    used as two with the same numbers, so that what comes from the output and from the input can be told apart.
    """
    inputs, targets = windows[:, :-1], windows[:, 1:].flatten()  # (batch, context), (P,)
    output = weight["embedding" if settings.tied else "head"].detach().clone().requires_grad_()
    tied = settings.tied and not cut
    embedding = output if tied else weight["embedding"].detach().clone().requires_grad_()
    x = functional.embedding(inputs, embedding) + weight["positions"]  # (batch, context, D)
    for layer in range(settings.layers):
        x = _layer(settings, weight, f"{layer}.", x)
    normed = functional.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS).flatten(0, 1)  # (P, D)
    hidden = normed * weight["norm.weight"] + weight["norm.bias"]
    loss = functional.cross_entropy(functional.linear(hidden, output), targets)
    loss.backward()
    return Pass(loss.item(), hidden.detach(), normed.detach(), output.grad, embedding.grad)


def _layer(settings: Settings, weight: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    def linear(which: str, into: torch.Tensor) -> torch.Tensor:
        return functional.linear(into, weight[f"{name}{which}.weight"], weight[f"{name}{which}.bias"])

    def norm(which: str, into: torch.Tensor) -> torch.Tensor:
        gain, bias = weight[f"{name}{which}.weight"], weight[f"{name}{which}.bias"]
        return functional.layer_norm(into, gain.shape, gain, bias, LAYER_NORM_EPS)

    split = linear("in", norm("norm1", x)).unflatten(2, (3, settings.heads, -1))  # (batch, context, 3, heads, depth)
    query, key, value = split.permute(2, 0, 3, 1, 4)  # (batch, heads, context, depth) each
    mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    x = x + linear("out", mixed.transpose(1, 2).flatten(2))  # (batch, context, D)
    return x + linear("linear2", functional.gelu(linear("linear1", norm("norm2", x))))
