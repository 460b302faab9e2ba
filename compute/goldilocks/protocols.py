"""The numeric protocols: how a gradient becomes an update, and what is rounded when.

Every protocol runs the same rule, torch's own AdamW, Adam or SGD (single tensor, in its order of operations), over one
flat buffer; they differ in the types of what is kept and in the way back to the stored weights. In bfloat16 each
operation of torch computes in float32 and rounds its output to nearest. Chapter: Nutcracker.
Sources: [kingma2015adam], [loshchilov2019decoupled], [zamirai2021bfloat16], [gupta2015limited].
"""

import torch

from compute.goldilocks.settings import Settings
from compute.goldilocks.transformer import generator_of


class Update:
    """Pure: weights, gradients and moments are of one type, bfloat16 ("pure-bf16") or float32 ("fp32").

    In bfloat16 a step of AdamW rounds the decayed weight; the first moment (one lerp); the second moment twice, after
    the decay and after the square is added; the root, its quotient by the bias correction and the sum with eps; and
    the weight.
    Attributes: `stored`, the weights that the model computes with; `kept`, the tensors of a checkpoint, by name.
    """

    def __init__(self, settings: Settings, stored: torch.Tensor, gradients: torch.Tensor):
        self.settings, self.stored, self.gradients = settings, stored, gradients
        self.scratch = torch.empty_like(self.working)
        self.kept = {"weights": stored} | {name: torch.zeros_like(self.working) for name in ("first", "second")}

    @property
    def working(self) -> torch.Tensor:
        """What the rule updates."""
        return self.stored

    def apply(self, step: int) -> None:
        """Make update number `step`, counted from 1, from the gradients."""
        self.rule(self.working, self.gradients, step)

    def rule(self, weights: torch.Tensor, gradients: torch.Tensor, step: int) -> None:
        """torch.optim's rule on one flat tensor: decay, moments, step, each in the tensors' own type."""
        s = self.settings
        if s.optimizer == "adamw" and s.weight_decay != 0:
            weights.mul_(1 - s.learning_rate * s.weight_decay)
        elif s.weight_decay != 0:
            gradients = gradients.add(weights, alpha=s.weight_decay)
        if s.optimizer == "sgd":
            self._descend(weights, gradients, step)
        else:
            self._adapt(weights, gradients, step)

    def _adapt(self, weights, gradients, step):
        s, first, second = self.settings, self.kept["first"], self.kept["second"]
        first.lerp_(gradients, 1 - s.beta1)
        second.mul_(s.beta2).addcmul_(gradients, gradients, value=1 - s.beta2)
        step_size = s.learning_rate / (1 - s.beta1**step)
        torch.sqrt(second, out=self.scratch).div_((1 - s.beta2**step) ** 0.5).add_(s.eps)
        weights.addcdiv_(first, self.scratch, value=-step_size)

    def _descend(self, weights, gradients, step):
        s, first = self.settings, self.kept["first"]
        if s.momentum != 0:
            gradients = first.copy_(gradients) if step == 1 else first.mul_(s.momentum).add_(gradients)
        weights.add_(gradients, alpha=-s.learning_rate)

    def restore(self, kept: dict[str, torch.Tensor]) -> None:
        """Take over the tensors of a checkpoint."""
        for name, tensor in self.kept.items():
            tensor.copy_(kept[name])


class WideMoments(Update):
    """bfloat16 weights and gradients; the gradients are widened, moments and arithmetic are float32.

    The weight is widened, decayed and moved in float32, and rounded to nearest once ("fp32-moments").
    """

    def __init__(self, settings, stored, gradients):
        self.wide, self.wide_gradients = stored.float(), gradients.float()
        super().__init__(settings, stored, gradients)

    @property
    def working(self):
        return self.wide

    def apply(self, step):
        self.rule(self.wide.copy_(self.stored), self.wide_gradients.copy_(self.gradients), step)
        self._store()

    def _store(self):
        self.stored.copy_(self.wide)


class StochasticRounding(WideMoments):
    """As fp32-moments, but the float32 result is rounded up or down at random, without bias ("stochastic-rounding").

    16 random bits are added to its pattern and the lower half is cut off; the bits come from a generator of its own.
    """

    def __init__(self, settings, stored, gradients):
        super().__init__(settings, stored, gradients)
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

    def __init__(self, settings, stored, gradients, master: torch.Tensor):
        super().__init__(settings, stored, gradients)
        self.wide.copy_(master)
        self.kept["master"] = self.wide

    def apply(self, step):
        self.rule(self.wide, self.wide_gradients.copy_(self.gradients), step)
        self._store()


def stored_type(settings: Settings) -> torch.dtype:
    """Return the type of the weights that the model computes with."""
    return torch.float32 if settings.protocol == "fp32" else torch.bfloat16


def update(settings: Settings, stored: torch.Tensor, gradients: torch.Tensor, start: torch.Tensor) -> Update:
    """Return the update rule that the settings name; start: the float32 weights that were rounded to `stored`."""
    if settings.protocol == "fp32-master":
        return Master(settings, stored, gradients, start)
    kinds = {"fp32-moments": WideMoments, "stochastic-rounding": StochasticRounding}
    return kinds.get(settings.protocol, Update)(settings, stored, gradients)
