"""The update rules: bit for bit torch's optimizers where these are the definition, integer rounding where not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from compute import rounding
from compute.goldilocks import protocols
from compute.goldilocks.settings import OPTIMIZERS, Settings
from compute.goldilocks.transformer import generator_of
from compute.lattice import widen

SIZE = 5_003  # odd: the ends of vectorised loops are tested too
WHOLE = 5_024  # whole rounds of 32, which the compiled update takes


def gradients_of(steps, dtype=torch.bfloat16, n_weights=SIZE):
    """Gradients (steps, n_weights) over many binades, some of them zero."""
    generator = torch.Generator().manual_seed(5)
    size = torch.exp(4 * torch.randn(n_weights, generator=generator) - 6)
    found = size * torch.randn(steps, n_weights, generator=generator)
    found[:, ::17] = 0
    found[3:, ::5] = 0  # gradients that stop: only moments move on
    return found.to(dtype)


def start_of(dtype=torch.bfloat16, n_weights=SIZE):
    return (0.1 * torch.randn(n_weights, generator=torch.Generator().manual_seed(6))).to(dtype)


def rule_of(settings, master=None, n_weights=SIZE):
    stored = start_of(protocols.stored_type(settings), n_weights)
    gradients = torch.zeros_like(stored)
    start = start_of(torch.float32, n_weights) if master is None else master
    return protocols.update(settings, stored, gradients, start)


def peer(settings, parameter):
    s = settings
    if s.optimizer == "sgd":
        return torch.optim.SGD([parameter], s.learning_rate, s.momentum, weight_decay=s.weight_decay, foreach=False)
    make = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[s.optimizer]
    betas = (s.beta1, s.beta2)
    return make([parameter], s.learning_rate, betas, s.eps, weight_decay=s.weight_decay, foreach=False)


def bits(tensor):
    return tensor.view(torch.int16 if tensor.dtype == torch.bfloat16 else torch.int32)


@pytest.mark.parametrize("protocol", ["pure-bf16", "fp32"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 4.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("n_weights", [SIZE, WHOLE])
def test_pure_protocols_are_torch_s_optimizers_bit_for_bit(protocol, optimizer, weight_decay, momentum, n_weights):
    if momentum and optimizer != "sgd":
        momentum = 0.0
    settings = Settings(protocol=protocol, optimizer=optimizer, weight_decay=weight_decay, momentum=momentum)
    rule = rule_of(settings, n_weights=n_weights)
    assert rule.pieces[0].fits == (n_weights == WHOLE and protocol == "pure-bf16")
    parameter = torch.nn.Parameter(rule.stored.clone())
    optimizer = peer(settings, parameter)
    for step, gradient in enumerate(gradients_of(40, rule.stored.dtype, n_weights), 1):
        parameter.grad = gradient.clone()
        optimizer.step()
        rule.gradients.copy_(gradient)
        rule.apply(step)
        assert torch.equal(bits(rule.stored), bits(parameter.detach()))


def test_which_updates_are_compiled():
    """Below beta1 = 1/2 torch's lerp goes from the other end; the bits of that are left to torch."""
    assert rule_of(Settings(), n_weights=WHOLE).compiled != [None]
    for other in ({"beta1": 0.3}, {"optimizer": "sgd"}, {"optimizer": "adam"}, {"protocol": "fp32-master"}):
        assert rule_of(Settings(**other), n_weights=WHOLE).compiled == [None], other
    assert rule_of(Settings()).compiled == [None]


def near(found, wanted, what):
    """Patterns (uint16) are equal but for a few that lie a cell apart, where float32 products tie or fuse."""
    gap = np.abs(found.astype(int) - wanted.astype(int))
    assert gap.max() <= 1 and (gap > 0).mean() < 2e-3, what


def stored_bits(tensor):
    return tensor.view(torch.uint16).numpy().copy()


@pytest.mark.parametrize("n_weights", [SIZE, WHOLE])
def test_pure_bfloat16_is_the_formula_with_integer_rounding(n_weights):
    """Each operation in float32 (numpy), each output rounded by integer arithmetic; one step at a time."""
    s = Settings(weight_decay=4.0)
    rule = rule_of(s, n_weights=n_weights)
    nearest = lambda values: widen(rounding.round_float32(values.astype(np.float32)))  # noqa: E731
    for step, gradient in enumerate(gradients_of(20, n_weights=n_weights), 1):
        w, m, v = (widen(stored_bits(rule.kept[name])) for name in ("weights", "first", "second"))
        g = widen(stored_bits(gradient))
        w = nearest(w * np.float32(1 - s.learning_rate * s.weight_decay))
        m = nearest(m + np.float32(1 - s.beta1) * (g - m))
        v = nearest(nearest(v * np.float32(s.beta2)) + np.float32(1 - s.beta2) * (g * g))
        root = nearest(nearest(np.sqrt(v)) / np.float32((1 - s.beta2**step) ** 0.5))
        root = nearest(root + np.float32(s.eps))
        w = nearest(w - np.float32(s.learning_rate / (1 - s.beta1**step)) * (m / root))
        rule.gradients.copy_(gradient)
        rule.apply(step)
        for name, value in (("weights", w), ("first", m), ("second", v)):
            clear = (np.abs(m) > 1e-3 * np.abs(g)) | (name == "second")  # not where a moment all but cancels out
            near(stored_bits(rule.kept[name])[clear], rounding.round_float32(value)[clear], (step, name))


def formula(s, w, moments, g, step):
    """AdamW in float64 on float64 arrays; `moments` is changed."""
    moments[0] = s.beta1 * moments[0] + (1 - s.beta1) * g
    moments[1] = s.beta2 * moments[1] + (1 - s.beta2) * g**2
    root = np.sqrt(moments[1] / (1 - s.beta2**step)) + s.eps
    return w * (1 - s.learning_rate * s.weight_decay) - s.learning_rate * moments[0] / (1 - s.beta1**step) / root


@pytest.mark.parametrize("protocol", ["fp32-moments", "fp32-master", "fp32"])
def test_wide_protocols_are_the_formula_rounded_once(protocol):
    s = Settings(protocol=protocol, weight_decay=4.0)
    rule, moments = rule_of(s), [0.0, 0.0]
    wide = start_of(torch.float32).double().numpy()
    for step, gradient in enumerate(gradients_of(30), 1):
        before = rule.stored.double().numpy().copy() if protocol == "fp32-moments" else wide
        wide = formula(s, before, moments, gradient.double().numpy(), step)
        rule.gradients.copy_(gradient)
        rule.apply(step)
        if protocol == "fp32":
            np.testing.assert_allclose(rule.stored.numpy(), wide, rtol=2e-6, atol=3e-7)
        else:
            near(stored_bits(rule.stored), rounding.round_float32(wide.astype(np.float32)), step)


def test_stochastic_rounding_is_the_integer_reference_given_its_bits():
    s = Settings(protocol="stochastic-rounding")
    rule, nearest = rule_of(s), rule_of(replace(s, protocol="fp32-moments"))
    twin = generator_of(s.seed, "rounding")
    for step, gradient in enumerate(gradients_of(5), 1):
        nearest.stored.copy_(rule.stored)
        for each in (rule, nearest):
            each.gradients.copy_(gradient)
            each.apply(step)
        draws = torch.empty(-(-SIZE // 4), dtype=torch.int64).random_(-(2**63), None, generator=twin)
        draws = draws.numpy().view(np.uint16)[:SIZE].astype(np.uint32)
        wanted = ((nearest.wide.numpy().view(np.uint32) + draws) >> 16).astype(np.uint16)
        assert np.array_equal(stored_bits(rule.stored), wanted)


def test_stochastic_rounding_is_unbiased_and_takes_only_neighbours():
    s = Settings(protocol="stochastic-rounding", weight_decay=0.0, optimizer="sgd", learning_rate=1.0)
    stored = torch.ones(400_000, dtype=torch.bfloat16)
    rule = protocols.update(s, stored, torch.zeros_like(stored), stored.float())
    step = 2.0**-9  # a quarter of the cell above 1, 2^-7: rounded to nearest, it would be lost
    rule.gradients.fill_(-step)
    rule.apply(1)
    assert set(stored.float().unique().tolist()) == {1.0, 1 + 2.0**-7}
    share = float((stored > 1).float().mean())
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / len(stored)) ** 0.5
    assert rounding.round_float32(np.float32([1 + step])) == 0x3F80


def test_the_generator_is_part_of_what_is_kept():
    s = Settings(protocol="stochastic-rounding")
    unbroken, broken = rule_of(s), rule_of(s)
    kept = None
    for step, gradient in enumerate(gradients_of(8), 1):
        unbroken.gradients.copy_(gradient)
        unbroken.apply(step)
        if step == 4:
            kept = {name: tensor.clone() for name, tensor in unbroken.kept.items()}
    broken.restore(kept)
    for step, gradient in enumerate(gradients_of(8)[4:], 5):
        broken.gradients.copy_(gradient)
        broken.apply(step)
    assert torch.equal(bits(broken.stored), bits(unbroken.stored))
