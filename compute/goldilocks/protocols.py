"""The numeric protocols: how a gradient becomes an update, and what is rounded when.

Every protocol runs the same rule, torch's own AdamW, Adam or SGD (single tensor, in its order of operations), over one
flat buffer; they differ in the types of what is kept and in the way back to the stored weights. In bfloat16 each
operation of torch computes in float32 and rounds its output to nearest. Chapter: Nutcracker.
Sources: [kingma2015adam], [loshchilov2019decoupled], [zamirai2021bfloat16], [gupta2015limited].
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from compute.goldilocks import kernels
from compute.goldilocks.lanes import bits_of
from compute.goldilocks.settings import Settings
from compute.goldilocks.team import ALONE, Team
from compute.goldilocks.transformer import generator_of

ROUND = 128  # weights that torch's vectorised loops take at once; pieces of whole rounds give the bits of one piece


class Piece(NamedTuple):
    """Some of the weights, and what their update needs, views of one shape and type."""

    weights: torch.Tensor
    gradients: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    scratch: torch.Tensor

    @property
    def fits(self) -> bool:
        """Whether the compiled update takes it."""
        return self.weights.dtype == torch.bfloat16 and kernels.fits(self.weights.numel())


class Update:
    """Pure: weights, gradients and moments are of one type, bfloat16 ("pure-bf16") or float32 ("fp32").

    In bfloat16 a step of AdamW rounds the decayed weight; the first moment (one lerp); the second moment twice, after
    the decay and after the square is added; eps, the root, its quotient by the bias correction and their sum; and the
    weight. AdamW on whole rounds of 32 weights is compiled.

    Attributes: `stored`, the weights that the model computes with; `kept`, the tensors of a checkpoint, by name.
    """

    def __init__(self, settings: Settings, stored: torch.Tensor, gradients: torch.Tensor, team: Team = ALONE):
        self.settings, self.stored, self.gradients, self.team = settings, stored, gradients, team
        self.kept = {"weights": stored} | {name: torch.zeros_like(self.working) for name in ("first", "second")}
        first, second = self.kept["first"], self.kept["second"]
        whole = self.working, self.working_gradients, first, second, torch.empty_like(self.working)
        size = -(-stored.numel() // team.size // ROUND) * ROUND
        self.pieces = [Piece(*parts) for parts in zip(*(x.view(-1).split(size) for x in whole), strict=True)]
        gain = np.float32(1 - settings.beta1)
        compiled = settings.optimizer == "adamw" and gain < 0.5  # else torch's lerp is another formula
        self.compiled = [_compiled(settings, piece) if compiled and piece.fits else None for piece in self.pieces]

    @property
    def working(self) -> torch.Tensor:
        """What the rule updates."""
        return self.stored

    @property
    def working_gradients(self) -> torch.Tensor:
        """The gradients that the rule takes, of the type of what it updates."""
        return self.gradients

    def apply(self, step: int) -> None:
        """Make update number `step`, counted from 1, from the gradients."""
        self.team.run(lambda k: self._apply(k, step))

    def _apply(self, k, step):
        if k < len(self.pieces):
            compiled = self.compiled[k]
            compiled(step) if compiled else self.rule(self.pieces[k], step)

    def rule(self, piece: Piece, step: int) -> None:
        """torch.optim's rule on some of the weights: decay, moments, step, each in the tensors' own type."""
        s, gradients = self.settings, piece.gradients
        if s.optimizer == "adamw" and s.weight_decay != 0:
            piece.weights.mul_(1 - s.learning_rate * s.weight_decay)
        elif s.weight_decay != 0:
            gradients = gradients.add(piece.weights, alpha=s.weight_decay)
        if s.optimizer == "sgd":
            self._descend(piece, gradients, step)
        else:
            self._adapt(piece, gradients, step)

    def _adapt(self, piece, gradients, step):
        s, second = self.settings, piece.second
        piece.first.lerp_(gradients, 1 - s.beta1)
        second.mul_(s.beta2).addcmul_(gradients, gradients, value=1 - s.beta2)
        step_size = s.learning_rate / (1 - s.beta1**step)
        torch.sqrt(second, out=piece.scratch).div_((1 - s.beta2**step) ** 0.5).add_(s.eps)
        piece.weights.addcdiv_(piece.first, piece.scratch, value=-step_size)

    def _descend(self, piece, gradients, step):
        s, first = self.settings, piece.first
        if s.momentum != 0:
            gradients = first.copy_(gradients) if step == 1 else first.mul_(s.momentum).add_(gradients)
        piece.weights.add_(gradients, alpha=-s.learning_rate)

    def restore(self, kept: dict[str, torch.Tensor]) -> None:
        """Take over the tensors of a checkpoint."""
        for name, tensor in self.kept.items():
            tensor.copy_(kept[name])


def _compiled(s: Settings, piece: Piece) -> Callable[[int], None]:
    """AdamW on a piece in bfloat16, in one pass over it, to the bits of `Update.rule`."""
    bits = [bits_of(part) for part in piece[:4]]
    fixed = [np.float32(x) for x in (1 - s.learning_rate * s.weight_decay, 1 - s.beta1, s.beta2, 1 - s.beta2)]
    eps = np.float32(torch.tensor(s.eps).bfloat16().item())  # as torch adds a number, unlike when it multiplies

    def rule(step):
        bias, size = (1 - s.beta2**step) ** 0.5, -s.learning_rate / (1 - s.beta1**step)
        kernels.adam(*bits, *fixed, np.float32(bias), eps, np.float32(size))

    return rule


class WideMoments(Update):
    """bfloat16 weights and gradients; the gradients are widened, moments and arithmetic are float32.

    The weight is widened, decayed and moved in float32, and rounded to nearest once ("fp32-moments").
    """

    def __init__(self, settings, stored, gradients, team=ALONE):
        self.wide, self.wide_gradients = stored.float(), gradients.float()
        super().__init__(settings, stored, gradients, team)

    @property
    def working(self):
        return self.wide

    @property
    def working_gradients(self):
        return self.wide_gradients

    def apply(self, step):
        self.wide.copy_(self.stored)
        self.wide_gradients.copy_(self.gradients)
        super().apply(step)
        self._store()

    def _store(self):
        self.stored.copy_(self.wide)


class StochasticRounding(WideMoments):
    """As fp32-moments, but the float32 result is rounded up or down at random, without bias ("stochastic-rounding").

    16 random bits are added to its pattern and the lower half is cut off; the bits come from a generator of its own.
    """

    def __init__(self, settings, stored, gradients, team=ALONE):
        super().__init__(settings, stored, gradients, team)
        self.generator = generator_of(settings.seed, "rounding")
        self.bits = torch.empty(-(-stored.numel() // 4), dtype=torch.int64)  # four draws of 16 bits in each
        self.kept["generator"] = self.generator.get_state()

    def _store(self):
        self.bits.random_(-(2**63), None, generator=self.generator)
        draws = self.bits.view(torch.int16)[: self.stored.numel()].to(torch.int32).bitwise_and_(0xFFFF)
        self.wide.view(torch.int32).add_(draws).bitwise_and_(-0x10000)
        self.stored.copy_(self.wide)  # exact by now
        self.kept["generator"] = self.generator.get_state()

    def restore(self, kept):
        super().restore(kept)
        self.generator.set_state(self.kept["generator"])


class Master(WideMoments):
    """float32 master weights; the model sees a bfloat16 copy, rounded to nearest after each step ("fp32-master").

    Gradients are those at the copy, in bfloat16, widened; decay, moments and step are float32.
    """

    def __init__(self, settings, stored, gradients, master: torch.Tensor, team=ALONE):
        super().__init__(settings, stored, gradients, team)
        self.wide.copy_(master)
        self.kept["master"] = self.wide

    def apply(self, step):
        self.wide_gradients.copy_(self.gradients)
        Update.apply(self, step)
        self._store()


def stored_type(settings: Settings) -> torch.dtype:
    """Return the type of the weights that the model computes with."""
    return torch.float32 if settings.protocol == "fp32" else torch.bfloat16


def update(
    settings: Settings, stored: torch.Tensor, gradients: torch.Tensor, start: torch.Tensor, team: Team = ALONE
) -> Update:
    """Return the update rule that the settings name; start: the float32 weights that were rounded to `stored`."""
    if settings.protocol == "fp32-master":
        return Master(settings, stored, gradients, start, team)
    kinds = {"fp32-moments": WideMoments, "stochastic-rounding": StochasticRounding}
    return kinds.get(settings.protocol, Update)(settings, stored, gradients, team)
