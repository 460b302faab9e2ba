"""The decoder of Goldilocks, forward and backward by hand, over one flat buffer of weights and one of gradients.

The mathematics is that of nn.TransformerEncoderLayer(norm_first=True, activation="gelu", dropout=0) under a causal
mask, with learned positions, a final layer norm and a head without bias, tied to the embedding or not. Every operation
is a bfloat16 module's where the weights are bfloat16: sums run in float32 inside it, its output is rounded once. Three
places differ from torch's chain of modules:

- attention is a product, a softmax and a product, the scores and probabilities rounded between them (torch's fused
  attention keeps the scores in float32);
- the head and the loss are fused, with fewer roundings: probabilities are the softmax of the (rounded) logits, rounded
  once, not the exponential of a rounded logarithm; the loss is the mean of -log p(target) in float32, with p as stored
  (2^-9 relative in bfloat16; where one lies above 80 nats, all come from log-sum-exp in float32 instead). p - y is
  rounded again; 1 / positions multiplies the hidden states and their gradient instead, which is exact if the number of
  positions is a power of two;
- the gradients of the input rows of one token are summed in float32, rounded once, and added to the head's gradient.

Chapter: Goldilocks. Source: [press2017tied].
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import init

from compute.goldilocks.settings import Settings

LAYER_NORM_EPS = 1e-5
CHUNK_BYTES = 2 << 20  # of logits at a time: what the second-level caches of two cores hold
ALIGNMENT = 64  # tokens; matrix products on rows of any other length are up to half as fast again


class Signals(NamedTuple):
    """What one pass shows."""

    loss: float  # mean cross-entropy, nats per token
    hidden: torch.Tensor  # (N, D) final hidden states, after the last layer norm, as stored
    dead_mass: torch.Tensor | None  # (N,) float32 probability of all dead tokens together, where asked for


def layout(settings: Settings, n_tokens: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter by name, in the order in which they lie in the flat buffer.

    The output matrix comes first, and after it "padding": rows of zeros that fill it up to a whole number of 64. They
    are no parameters: their logits are set to -inf, so that p, gradient, moments and rows are zero for good.
    """
    width, hidden = settings.width, settings.feed_forward
    shapes = {output_name(settings): (n_tokens, width), "padding": (-n_tokens % ALIGNMENT, width)}
    shapes |= {"embedding": (n_tokens, width), "positions": (settings.context, width)}
    for layer in range(settings.layers):
        shapes |= {
            f"{layer}.norm1.weight": (width,), f"{layer}.norm1.bias": (width,),
            f"{layer}.in.weight": (3 * width, width), f"{layer}.in.bias": (3 * width,),
            f"{layer}.out.weight": (width, width), f"{layer}.out.bias": (width,),
            f"{layer}.norm2.weight": (width,), f"{layer}.norm2.bias": (width,),
            f"{layer}.linear1.weight": (hidden, width), f"{layer}.linear1.bias": (hidden,),
            f"{layer}.linear2.weight": (width, hidden), f"{layer}.linear2.bias": (width,),
        }  # fmt: skip
    return shapes | {"norm.weight": (width,), "norm.bias": (width,)}


def generator_of(seed: int, purpose: str) -> torch.Generator:
    """Return a generator of its own for each seed and purpose."""
    state = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def output_name(settings: Settings) -> str:
    """Return the name of the matrix whose rows meet the hidden states, and are watched."""
    return "embedding" if settings.tied else "head"


def views(flat: torch.Tensor, shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Return the parameters as views into a flat buffer that they fill exactly."""
    parts = flat.split([math.prod(shape) for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def initial(settings: Settings, n_tokens: int) -> torch.Tensor:
    """Return the flat float32 weights at the start, as nn.TransformerEncoderLayer's defaults draw them.

    in: Xavier uniform, bias 0; out: uniform +-1/sqrt(D), bias 0; linear1, linear2: weights and biases uniform
    +-1/sqrt(fan in); layer norms 1 and 0; positions N(0, init_std^2); tokens by `init`. An untied head is drawn as the
    tokens are. Layers, positions and tokens have a generator each: runs that differ in `init` share the other weights.
    """
    shapes = layout(settings, n_tokens)
    weights = views(torch.zeros(sum(map(math.prod, shapes.values()))), shapes)
    body, places, rows = (generator_of(settings.seed, purpose) for purpose in ("layers", "positions", "tokens"))
    for name, weight in weights.items():
        if name in ("embedding", "head"):
            _draw_rows(weight, settings, rows)
        elif name == "padding":
            continue
        elif name == "positions":
            weight.normal_(0, settings.init_std, generator=places)
        elif name.endswith("in.weight"):
            init.xavier_uniform_(weight, generator=body)
        elif "norm" in name and name.endswith("weight"):
            weight.fill_(1)
        elif name.endswith("weight"):
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound, generator=body)
        elif "linear" in name:
            bound = 1 / math.sqrt(weights[name.replace("bias", "weight")].shape[1])
            weight.uniform_(-bound, bound, generator=body)
    return weights["embedding"]._base


def _draw_rows(matrix: torch.Tensor, settings: Settings, generator: torch.Generator) -> None:
    if settings.init == "normal":
        matrix.normal_(0, settings.init_std, generator=generator)
        return
    point = torch.empty(matrix.shape[1]).normal_(0, settings.init_std, generator=generator)
    if settings.init == "one-point-spread":
        matrix.normal_(0, settings.init_spread, generator=generator)
    matrix += point  # the rows are still zero for "one-point"


class Transformer:
    """The model: weights and gradients (flat, of one dtype), the same as named views, and one pass over both."""

    def __init__(self, settings: Settings, n_tokens: int, weights: torch.Tensor):
        shapes = layout(settings, n_tokens)
        self.settings, self.n_tokens = settings, n_tokens
        self.weights, self.gradients = weights, torch.zeros_like(weights)
        self.weight, self.slope = views(weights, shapes), views(self.gradients, shapes)
        self.output = output_name(settings)
        padded = n_tokens + -n_tokens % ALIGNMENT  # V', the rows of the output matrix with its padding
        self.matrix = self.weights[: padded * settings.width].view(padded, -1)
        self.matrix_slope = self.gradients[: padded * settings.width].view(padded, -1)
        n_positions, dtype = settings.batch * settings.context, weights.dtype
        self.mask = torch.full((settings.context, settings.context), -math.inf, dtype=dtype).triu_(1)
        self.logits = torch.empty(n_positions, padded, dtype=dtype)
        self.slope_hidden = torch.empty(n_positions, settings.width, dtype=dtype)
        self.chunk = max(16, CHUNK_BYTES // (padded * weights.element_size()) // 16 * 16)  # rows

    def column(self, dead) -> torch.Tensor:
        """Return what `step` takes as `dead`, from a mask (V,) of bool."""
        column = self.matrix.new_zeros(len(self.matrix), 1)
        column[: self.n_tokens, 0] = torch.as_tensor(dead)
        return column

    def step(self, windows: torch.Tensor, dead: torch.Tensor | None = None) -> Signals:
        """Fill `gradients` from windows (batch, context + 1) of int64 ids; each position predicts the next id.

        dead: (V', 1) of the weights' dtype from `column`; with it, the probability of dead tokens is summed too.
        """
        inputs, targets = windows[:, :-1], windows[:, 1:].reshape(-1, 1)  # (batch, context), (N, 1)
        x = torch.nn.functional.embedding(inputs, self.weight["embedding"])  # (batch, context, D)
        x = x.add_(self.weight["positions"]).view(-1, self.settings.width)  # (N, D)
        kept = []
        for layer in range(self.settings.layers):
            x, trace = self._layer(str(layer), x)
            kept.append(trace)
        hidden, mean, scale = self._norm("norm", x)
        loss, mass = self._head(hidden, targets, dead)
        slope = self._norm_back("norm", self.slope_hidden, x, mean, scale)
        for layer in reversed(range(self.settings.layers)):
            slope = self._layer_back(str(layer), slope, kept.pop())
        self._embedding_back(inputs, slope)
        return Signals(loss, hidden, mass)

    def _head(self, hidden, targets, dead) -> tuple[float, torch.Tensor | None]:
        n_positions, wanted, masses = len(hidden), [], []
        for start in range(0, n_positions, self.chunk):
            rows = slice(start, start + self.chunk)
            p, target = self.logits[rows], targets[rows]
            torch.mm(hidden[rows], self.matrix.t(), out=p)  # (chunk, V') logits
            p[:, self.n_tokens :] = -math.inf
            torch._softmax(p, 1, False, out=p)
            wanted.append(p.gather(1, target)[:, 0])
            if dead is not None:
                masses.append(torch.mm(p, dead)[:, 0].float())
            p[torch.arange(len(target)), target[:, 0]] = wanted[-1] - 1  # p - y
            torch.mm(p, self.matrix, out=self.slope_hidden[rows])
        torch.mm(self.logits.t(), hidden * (1 / n_positions), out=self.matrix_slope)  # (V', D)
        self.slope_hidden.mul_(1 / n_positions)
        losses = -torch.cat(wanted).float().log_()
        if not float(losses.max()) < 80:  # a p so small that it may have underflowed: the long way, from the logits
            logits = torch.mm(hidden, self.weight[self.output].t()).float()
            losses = torch.nn.functional.cross_entropy(logits, targets[:, 0], reduction="none")
        return float(losses.mean()), torch.cat(masses) if masses else None

    def _layer(self, name, x):
        settings, weight = self.settings, self.weight
        heads, context, depth = settings.heads, settings.context, settings.width // settings.heads
        normed1, *moments1 = self._norm(f"{name}.norm1", x)
        joint = torch.addmm(weight[f"{name}.in.bias"], normed1, weight[f"{name}.in.weight"].t())  # (N, 3 D)
        joint = joint.view(-1, context, 3, heads, depth).permute(2, 0, 3, 1, 4)  # (3, batch, heads, context, D / heads)
        query, key, value = joint.reshape(3, -1, context, depth)  # (batch heads, context, D / heads) each
        p = torch.bmm(query, key.transpose(1, 2)).mul_(depth**-0.5).add_(self.mask)  # (batch heads, context, context)
        p = torch.softmax(p, 2)
        mixed = torch.bmm(p, value).view(-1, heads, context, depth).transpose(1, 2).reshape(x.shape)  # (N, D)
        middle = torch.addmm(weight[f"{name}.out.bias"], mixed, weight[f"{name}.out.weight"].t()).add_(x)
        normed2, *moments2 = self._norm(f"{name}.norm2", middle)
        bent = torch.addmm(weight[f"{name}.linear1.bias"], normed2, weight[f"{name}.linear1.weight"].t())
        active = torch.nn.functional.gelu(bent)  # (N, feed_forward)
        out = torch.addmm(weight[f"{name}.linear2.bias"], active, weight[f"{name}.linear2.weight"].t()).add_(middle)
        return out, (x, normed1, moments1, query, key, value, p, mixed, middle, normed2, moments2, bent, active)

    def _layer_back(self, name, slope, kept):
        x, normed1, moments1, query, key, value, p, mixed, middle, normed2, moments2, bent, active = kept
        heads, context, depth = self.settings.heads, self.settings.context, query.shape[2]
        inner = self._linear_back(f"{name}.linear2", slope, active)
        inner = torch.ops.aten.gelu_backward(inner, bent)
        inner = self._linear_back(f"{name}.linear1", inner, normed2)
        slope = self._norm_back(f"{name}.norm2", inner, middle, *moments2).add_(slope)
        inner = self._linear_back(f"{name}.out", slope, mixed)
        inner = inner.view(-1, context, heads, depth).transpose(1, 2).reshape(query.shape)
        joint = torch.empty(3, *query.shape, dtype=query.dtype)  # (3, batch heads, context, D / heads)
        torch.bmm(p.transpose(1, 2), inner, out=joint[2])
        inner = torch.ops.aten._softmax_backward_data(torch.bmm(inner, value.transpose(1, 2)), p, 2, p.dtype)
        inner.mul_(depth**-0.5)
        torch.bmm(inner, key, out=joint[0])
        torch.bmm(inner.transpose(1, 2), query, out=joint[1])
        joint = joint.view(3, -1, heads, context, depth).permute(1, 3, 0, 2, 4).reshape(len(x), -1)  # (N, 3 D)
        inner = self._linear_back(f"{name}.in", joint, normed1)
        return self._norm_back(f"{name}.norm1", inner, x, *moments1).add_(slope)

    def _norm(self, name, x):
        weight, bias = self.weight[f"{name}.weight"], self.weight[f"{name}.bias"]
        return torch.native_layer_norm(x, weight.shape, weight, bias, LAYER_NORM_EPS)

    def _norm_back(self, name, slope, x, mean, scale):
        weight, bias = self.weight[f"{name}.weight"], self.weight[f"{name}.bias"]
        back, at_weight, at_bias = torch.ops.aten.native_layer_norm_backward(
            slope, x, weight.shape, mean, scale, weight, bias, [True, True, True]
        )
        self.slope[f"{name}.weight"].copy_(at_weight)
        self.slope[f"{name}.bias"].copy_(at_bias)
        return back

    def _linear_back(self, name, slope, x):
        torch.mm(slope.t(), x, out=self.slope[f"{name}.weight"])
        torch.sum(slope, 0, out=self.slope[f"{name}.bias"])
        return torch.mm(slope, self.weight[f"{name}.weight"])

    def _embedding_back(self, inputs, slope):
        torch.sum(slope.view(inputs.shape + (-1,)), 0, out=self.slope["positions"])
        ids, place = torch.unique(inputs, return_inverse=True)
        sums = torch.zeros(len(ids), slope.shape[1]).index_add_(0, place.view(-1), slope.float())  # (ids, D)
        if not self.settings.tied:
            self.slope["embedding"].zero_()
        self.slope["embedding"].index_add_(0, ids, sums.to(slope.dtype))
