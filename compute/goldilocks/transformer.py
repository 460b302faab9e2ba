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

import itertools
import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import init

from compute.goldilocks.operations import operations_for
from compute.goldilocks.settings import Settings
from compute.goldilocks.share import Share
from compute.goldilocks.team import ALONE, Team

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
    """The model: weights and gradients (flat, of one dtype), the same as named views, and one pass over both.

    The windows of a batch are shared among the threads of `team`, of which there are no more than windows; each takes
    its rows through the whole pass. Sums over the batch wait until all have come to the same layer, and are then shared
    too: nothing is rounded oftener than on one thread.
    """

    def __init__(self, settings: Settings, n_tokens: int, weights: torch.Tensor, team: Team = ALONE):
        shapes = layout(settings, n_tokens)
        self.settings, self.n_tokens, self.team = settings, n_tokens, team
        self.weights, self.gradients = weights, torch.zeros_like(weights)
        self.weight, self.slope = views(weights, shapes), views(self.gradients, shapes)
        self.output = output_name(settings)
        padded = n_tokens + -n_tokens % ALIGNMENT  # V', the rows of the output matrix with its padding
        self.matrix = self.weights[: padded * settings.width].view(padded, -1)
        self.matrix_slope = self.gradients[: padded * settings.width].view(padded, -1)
        self.operations = operations_for(settings, weights.dtype)
        self.n_positions = settings.batch * settings.context
        self.layer_weights = [_of_layer(self.weight, layer) for layer in range(settings.layers)]
        self._make_buffers(padded)
        if team.size > settings.batch:
            raise ValueError(f"a team of {team.size} threads for {settings.batch} windows; each thread needs one")
        bounds = [settings.batch * k // team.size for k in range(team.size + 1)]
        self.shares = [Share(self, *part) for part in itertools.pairwise(bounds)]
        self.input_sums = self.operations.input_sums(self.kept[0].at_x, self.slope["embedding"])
        self.head_sums, self.layer_sums = self._head_sums(), [self._layer_sums(k) for k in range(settings.layers)]

    def _make_buffers(self, padded: int) -> None:
        """What the pass keeps of all N positions: `kept` of each layer, `end` of what comes after the last."""
        s, wide, inner = self.settings, self.settings.width, self.settings.feed_forward
        tall = lambda columns: self.weights.new_empty(self.n_positions, columns)  # noqa: E731
        stream = [tall(wide) for _ in range(s.layers + 1)]  # before each layer, and after the last
        slopes = [tall(wide) for _ in range(3)]  # in turn: one is read by sums when the next but one is written
        at_stream = [slopes[layer % 3] for layer in range(s.layers + 1)]
        passing = {"at_bent": inner, "at_normed2": wide, "at_middle": wide, "at_joint": 3 * wide, "at_normed1": wide}
        turns = [{name: tall(columns) for name, columns in passing.items()} for _ in range(2)]
        lasting = {"normed1": wide, "mixed": wide, "middle": wide, "normed2": wide, "active": inner}
        lasting |= {"mean1": 1, "scale1": 1, "mean2": 1, "scale2": 1}
        self.kept = [
            SimpleNamespace(
                x=stream[layer], out=stream[layer + 1], at_x=at_stream[layer], at_out=at_stream[layer + 1],
                **{name: tall(columns) for name, columns in lasting.items()}, **turns[layer % 2],
            )
            for layer in range(s.layers)
        ]  # fmt: skip
        self.end = SimpleNamespace(
            x=stream[-1], hidden=tall(wide), mean=tall(1), scale=tall(1), scaled=tall(wide), logits=tall(padded),
            wanted=tall(1)[:, 0], mass=tall(1), at_hidden=tall(wide), at_x=at_stream[-1],
        )  # fmt: skip
        self.logits = self.end.logits

    def column(self, dead) -> torch.Tensor:
        """Return what `step` takes as `dead`, from a mask (V,) of bool."""
        column = self.matrix.new_zeros(len(self.matrix), 1)
        column[: self.n_tokens, 0] = torch.as_tensor(dead)
        return column

    def step(self, windows: torch.Tensor, dead: torch.Tensor | None = None) -> Signals:
        """Fill `gradients` from windows (batch, context + 1) of int64 ids; each position predicts the next id.

        dead: (V', 1) of the weights' dtype from `column`; with it, the probability of dead tokens, of which none may
        be a target, is summed too. Raises ValueError where the windows are not as many or as long as the settings say,
        IndexError where an id is not in the vocabulary.
        """
        wanted = self.settings.batch, self.settings.context + 1
        if windows.shape != wanted:
            raise ValueError(f"windows {tuple(windows.shape)}; these settings take {wanted}")
        signals = []

        def task(k):
            share = self.shares[k]
            share.forward(windows, dead)
            self._sum(k, self.head_sums)
            share.back()
            for layer, sums in zip(reversed(share.layers), reversed(self.layer_sums), strict=True):
                layer.back()
                self._sum(k, sums)
            if k == self.team.size - 1:
                if not self.settings.tied:
                    self.slope["embedding"].zero_()
                self.input_sums(windows[:, :-1].reshape(-1))
            if k == 0:
                mass = None if dead is None else self.end.mass[:, 0].float()
                signals.append(Signals(self._loss(windows), self.end.hidden.clone(), mass))

        self.team.run(task)
        return signals[0]

    def _loss(self, windows) -> float:
        losses = -self.end.wanted.float().log_()
        if not float(losses.max()) < 80:  # a p so small that it may have underflowed: the long way, from the logits
            logits = torch.mm(self.end.hidden, self.weight[self.output].t()).float()
            losses = torch.nn.functional.cross_entropy(logits, windows[:, 1:].reshape(-1), reduction="none")
        return float(losses.mean())

    def _sum(self, k: int, sums: list[Callable]) -> None:
        self.team.meet(k)
        for call in sums[k :: self.team.size]:
            call()

    def _head_sums(self) -> list[Callable]:
        """The slopes of the output matrix (V', D), some of its rows for each thread."""
        rows = -(-len(self.matrix) // self.team.size // ALIGNMENT) * ALIGNMENT
        parts = zip(self.logits.t().split(rows), self.matrix_slope.split(rows), strict=True)
        return [partial(torch.mm, p, self.end.scaled, out=slope) for p, slope in parts]

    def _layer_sums(self, layer: int) -> list[Callable]:
        """The slopes of a layer's weights; with the last one's the norm's after it, with the first's the positions'."""
        kept, slope, weight = self.kept[layer], _of_layer(self.slope, layer), self.layer_weights[layer]
        maps = {"in": (kept.at_joint, kept.normed1), "linear1": (kept.at_bent, kept.normed2)}
        maps |= {"out": (kept.at_middle, kept.mixed), "linear2": (kept.at_out, kept.active)}
        norms = {"norm1": (kept.at_normed1, kept.x, kept.mean1, kept.scale1, weight["norm1.weight"])}
        norms |= {"norm2": (kept.at_normed2, kept.middle, kept.mean2, kept.scale2, weight["norm2.weight"])}
        found = [self._map_sums(slope, name, *given) for name, given in maps.items()]
        found += [self._norm_sums(slope, name, *given) for name, given in norms.items()]
        if layer == self.settings.layers - 1:
            end = self.end
            given = end.at_hidden, end.x, end.mean, end.scale, self.weight["norm.weight"]
            found.append(self._norm_sums(self.slope, "norm", *given))
        if layer == 0:
            by_window = kept.at_x.view(self.settings.batch, self.settings.context, -1)
            found.append(partial(torch.sum, by_window, 0, out=self.slope["positions"]))
        return found

    def _map_sums(self, slopes, name, slope, x) -> Callable:
        turned, weight = slope.t(), slopes[f"{name}.weight"]
        columns = self.operations.column_sums(slope, slopes[f"{name}.bias"])

        def sums():
            torch.mm(turned, x, out=weight)
            columns()

        return sums

    def _norm_sums(self, slopes, name, *given) -> Callable:
        return self.operations.norm_sums(*given, slopes[f"{name}.weight"], slopes[f"{name}.bias"])


def _of_layer(named: dict[str, torch.Tensor], layer: int) -> dict[str, torch.Tensor]:
    mine = f"{layer}."
    return {name.removeprefix(mine): tensor for name, tensor in named.items() if name.startswith(mine)}
