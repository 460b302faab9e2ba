"""The pass over Goldilocks, forward and backward, against torch's own modules under autograd."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from compute.goldilocks import transformer
from compute.goldilocks.settings import BALANCED, GOLDILOCKS, LEAN, Settings
from compute.goldilocks.team import ALONE, Team

SMALL = Settings(layers=2, width=48, heads=3, feed_forward=80, context=16, batch=4)
N_TOKENS = 200


class Plain(torch.nn.Module):
    """The recipe as one writes it: embeddings, nn.TransformerEncoderLayer, a norm, a head, F.cross_entropy."""

    def __init__(self, settings, weight, dtype):
        super().__init__()
        s = settings
        self.embedding = torch.nn.Embedding(*weight["embedding"].shape)
        self.positions = torch.nn.Embedding(s.context, s.width)
        make = torch.nn.TransformerEncoderLayer
        self.layers = torch.nn.ModuleList(
            make(s.width, s.heads, s.feed_forward, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(s.layers)
        )
        self.norm = torch.nn.LayerNorm(s.width)
        self.head = torch.nn.Linear(*weight["embedding"].shape[::-1], bias=False)
        if s.tied:
            self.head.weight = self.embedding.weight
        with torch.no_grad():
            for name, parameter in self.by_name().items():
                parameter.copy_(weight[name])
        self.to(dtype)

    def by_name(self):
        """The parameters under our names."""
        table = {"embedding": self.embedding.weight, "positions": self.positions.weight}
        table |= {"norm.weight": self.norm.weight, "norm.bias": self.norm.bias, "head": self.head.weight}
        for number, layer in enumerate(self.layers):
            attention = layer.self_attn
            table |= {f"{number}.in.weight": attention.in_proj_weight, f"{number}.in.bias": attention.in_proj_bias}
            parts = {"out": attention.out_proj, "norm1": layer.norm1, "norm2": layer.norm2}
            for name, part in (parts | {"linear1": layer.linear1, "linear2": layer.linear2}).items():
                table |= {f"{number}.{name}.weight": part.weight, f"{number}.{name}.bias": part.bias}
        return {name: table[name] for name in table if name != "head" or self.head.weight is not self.embedding.weight}

    def forward(self, windows):
        inputs, targets = windows[:, :-1], windows[:, 1:]
        x = self.embedding(inputs) + self.positions.weight
        mask = torch.nn.Transformer.generate_square_subsequent_mask(inputs.shape[1], dtype=x.dtype)
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=True)
        self.hidden = self.norm(x)
        logits = self.head(self.hidden)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def windows_of(settings, n_tokens=N_TOKENS, live=120):
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, live, (settings.batch, settings.context + 1), generator=generator)


def both(settings, dtype, spread=None, team=ALONE):
    """Our model and the plain one after one pass, from the same weights, none of which is left at 0 or 1."""
    weights = transformer.initial(settings, N_TOKENS)
    weights += 0.05 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(3))
    transformer.views(weights, transformer.layout(settings, N_TOKENS))["padding"].zero_()
    if spread:
        transformer.views(weights, transformer.layout(settings, N_TOKENS))["embedding"].mul_(spread)
    ours = transformer.Transformer(settings, N_TOKENS, weights.to(dtype), team)
    plain = Plain(settings, ours.weight, dtype)
    loss = plain(windows_of(settings))
    loss.backward()
    dead = torch.arange(N_TOKENS) >= 120
    return ours, ours.step(windows_of(settings), ours.column(dead)), plain, loss


def relative(found, wanted):
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype,tolerance", [(torch.float64, 1e-5), (torch.float32, 1e-4)])
def test_loss_and_every_gradient_are_autograd_s(tied, dtype, tolerance):
    ours, signals, plain, loss = both(replace(SMALL, tied=tied), dtype)
    assert signals.loss == pytest.approx(float(loss.detach()), rel=1e-6)
    torch.testing.assert_close(signals.hidden, plain.hidden.detach().flatten(0, 1), rtol=1e-4, atol=1e-5)
    assert set(plain.by_name()) == set(ours.slope) - {"padding"}
    assert len(ours.slope["padding"]) == 56 and not ours.slope["padding"].any()
    for name, parameter in plain.by_name().items():
        if name.endswith("in.bias"):  # the keys' bias has no gradient but rounding: compare the whole vector
            assert float((ours.slope[name] - parameter.grad).norm()) < tolerance
        else:
            assert relative(ours.slope[name], parameter.grad) < tolerance, name


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads_that_share_a_batch_pass_as_one_does(threads, tied):
    """Four windows for three threads: shares of unequal size; and pass after pass, in buffers that are used again."""
    settings = replace(SMALL, tied=tied, layers=4)
    alone, signals, plain, _ = both(settings, torch.float64)
    with Team(threads) as team:
        ours, shared, _, _ = both(settings, torch.float64, team=team)
        found = [ours.slope[name].clone() for name in ours.slope]
        for name, parameter in plain.by_name().items():
            if not name.endswith("in.bias"):
                assert relative(ours.slope[name], parameter.grad) < 1e-5, name
        assert shared.loss == pytest.approx(signals.loss, rel=1e-12)
        torch.testing.assert_close(shared.hidden, signals.hidden, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(shared.dead_mass, signals.dead_mass)
        hidden = shared.hidden.clone()
        ours.step(windows_of(settings).flip(0))
        assert torch.equal(shared.hidden, hidden)  # what a pass has shown, the next does not write over
        ours.step(windows_of(settings))
        assert all(torch.equal(one, ours.slope[name]) for one, name in zip(found, ours.slope, strict=True))


def test_more_threads_than_windows_are_refused():
    with pytest.raises(ValueError, match="a team of 5 threads for 4 windows"):
        transformer.Transformer(SMALL, N_TOKENS, transformer.initial(SMALL, N_TOKENS), Team(5))


def test_a_model_goes_when_nobody_holds_it():
    """Its buffers are large: they must not wait for Python's collector of cycles."""
    ours, *_ = both(SMALL, torch.float32)
    gone = weakref.ref(ours)
    gc.disable()
    try:
        del ours
        assert gone() is None
    finally:
        gc.enable()


def test_scores_are_scaled_by_the_root_of_the_depth_and_by_no_rounded_one():
    """Depth 12: 12^-1/2 lies far from any bfloat16. One layer, whose output is the values mixed as the scores say."""
    settings = replace(SMALL, heads=4, layers=1)
    ours, *_ = both(settings, torch.bfloat16)
    layer = ours.shares[0].layers[0]
    scores = torch.bmm(layer.query, layer.key.transpose(1, 2))
    mask = torch.full_like(layer.p[0], -torch.inf).triu_(1)
    scaled = (scores.float() * 12**-0.5).bfloat16().add_(mask)
    assert torch.equal(layer.p, torch.softmax(scaled, 2))


@pytest.mark.parametrize("settings", [LEAN, BALANCED, GOLDILOCKS, SMALL])
def test_in_bfloat16_we_are_no_farther_from_the_truth_than_modules(settings):
    """On one thread: torch rounds a layer norm's slopes to bfloat16 after each row that a thread adds."""
    settings, threads = replace(settings, batch=2), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours, signals, plain, _ = both(settings, torch.bfloat16)
    finally:
        torch.set_num_threads(threads)
    weights = {name: weight.double() for name, weight in ours.weight.items() if name != "padding"}
    exact = Plain(settings, weights, torch.float64)
    truth = exact(windows_of(settings))
    truth.backward()
    assert abs(signals.loss - truth.item()) < 0.02
    for (name, parameter), rounded in zip(exact.by_name().items(), plain.by_name().values(), strict=True):
        found, known = relative(ours.slope[name], parameter.grad), relative(rounded.grad, parameter.grad)
        assert found < 1.3 * known + 0.01, name


def test_dead_mass_and_loss_are_those_of_the_softmax():
    ours, signals, plain, loss = both(SMALL, torch.float32, spread=30)
    logits = signals.hidden @ ours.weight["embedding"].t()
    p = logits.double().softmax(1)
    torch.testing.assert_close(signals.dead_mass.double(), p[:, 120:].sum(1), rtol=1e-4, atol=1e-7)
    assert signals.loss == pytest.approx(float(loss.detach()), rel=1e-5)


def slow_head(ours, hidden, windows):
    """Loss and its gradient by the logits from bfloat16 logits: exactly, and as F.cross_entropy does it in bfloat16."""
    logits = torch.mm(hidden, ours.weight["embedding"].t())
    found = []
    for kind in (torch.float64, torch.bfloat16):
        leaf = logits.detach().to(kind).requires_grad_()
        loss = torch.nn.functional.cross_entropy(leaf, windows[:, 1:].flatten())
        loss.backward()
        found.append((loss.item(), leaf.grad.double()))
    return found


@pytest.mark.parametrize("spread", [1, 20])
def test_the_fused_loss_in_bfloat16_is_nearer_to_the_truth_than_the_plain_one(spread):
    ours, signals, _, _ = both(SMALL, torch.bfloat16, spread)
    (loss, slope), (plain_loss, plain_slope) = slow_head(ours, signals.hidden, windows_of(SMALL))
    assert abs(signals.loss - loss) < 2**-9 and abs(signals.loss - loss) < abs(plain_loss - loss)
    fused = ours.logits[:, :N_TOKENS].double() / len(signals.hidden)  # p - y, left in the buffer of the logits
    assert relative(fused, slope) < 2**-8 and relative(fused, slope) < relative(plain_slope, slope)
    assert not ours.logits[:, N_TOKENS:].any()
    wanted = fused.t() @ signals.hidden.double()
    dead = slice(120, N_TOKENS)  # rows that no input touches
    assert relative(ours.slope["embedding"][dead], wanted[dead]) < 2**-8


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_probability_that_underflows_leaves_the_loss_finite_and_right(dtype):
    ours, signals, _, _ = both(SMALL, dtype, spread=3_000)
    (loss, _), _ = slow_head(ours, signals.hidden, windows_of(SMALL))
    assert loss > 200 and float(ours.logits.min()) == -1
    assert signals.loss == pytest.approx(loss, rel=1e-5)


def test_padding_stays_zero_and_changes_nothing():
    """The same rows with and without padding: a vocabulary of 192 needs none, one of 191 needs one row."""
    from compute.goldilocks.protocols import update

    settings = replace(SMALL, weight_decay=4.0)
    start = transformer.initial(settings, 191)
    model = transformer.Transformer(settings, 191, start.to(torch.bfloat16))
    rule = update(settings, model.weights, model.gradients, start)
    for step in range(1, 6):
        model.step(windows_of(settings))
        rule.apply(step)
    assert model.weight["padding"].shape == (1, 48) and not model.weight["padding"].any()
    assert transformer.layout(settings, 192)["padding"] == (0, 48)
    assert torch.isfinite(model.weights).all()
