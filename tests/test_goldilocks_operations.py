"""What a step does between its products: compiled and by torch, against each other and against float64."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from numba import config, njit

from compute.goldilocks import lanes, softmax, transformer
from compute.goldilocks.operations import Compiled, Plain, operations_for
from compute.goldilocks.settings import BALANCED, GOLDILOCKS, LEAN, Settings
from compute.goldilocks.team import Team

WAYS = (Plain, Compiled)
TORCH_IS_OURS = torch.backends.cpu.get_cpu_capability() == "AVX512"  # elsewhere torch sums in another order
WIDTHS = (32, 64, 96, 128, 256)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def numbers(*shape, seed=0, size=1.0):
    """Bfloat16 from a generator that gives the same on every machine."""
    drawn = np.random.default_rng([seed, *shape]).integers(-(1 << 20), 1 << 20, shape) * (size * 3.0 / (1 << 20))
    return torch.from_numpy(drawn).bfloat16()


def agree(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Whether two ways gave the same numbers; where torch's order is another, whether they are as near as rounding."""
    if TORCH_IS_OURS:
        return torch.equal(one, two)
    return torch.allclose(one.double(), two.double(), rtol=2**-7, atol=2**-7 * float(one.abs().max()))


def normed(way, width, rows=96, seed=0):
    """What the three functions of a layer norm leave, for rows with a mean of their own."""
    x = numbers(rows, width, seed=seed, size=3) + numbers(rows, 1, seed=seed + 1, size=5)
    added, weight, bias = (numbers(*shape, seed=seed + 2) for shape in ((rows // 3, width), (width,), (width,)))
    out, mean, scale = torch.empty_like(x), *(x.new_empty(rows, 1) for _ in range(2))
    way.norm(x, added, weight, bias, out, mean, scale)()
    slope, past = numbers(rows, width, seed=seed + 3), numbers(rows, width, seed=seed + 4)
    back, with_past, at_weight, at_bias = torch.empty_like(x), torch.empty_like(x), *(x.new_empty(width) for _ in "ab")
    way.norm_back(slope, x, mean, scale, weight, None, back)()
    way.norm_back(slope, x, mean, scale, weight, past, with_past)()
    way.norm_sums(slope, x, mean, scale, weight, at_weight, at_bias)()
    return x, out, mean, scale, back, with_past, at_weight, at_bias


def attended(way, context, size=6.0):
    """Probabilities of two blocks of scores, and the slopes at the scores."""
    p, slope = numbers(2, context, context, size=size), numbers(2, context, context, seed=1)
    way.attend(p, 0.125)()
    way.attend_back(slope, p, 0.3)()
    return p, slope


def predicted(way, n_tokens, rows=24, size=2.0):
    """p - y and the probabilities of the targets; what stands beyond n_tokens must not matter."""
    p, wanted = numbers(rows, n_tokens + -n_tokens % 64, size=size), torch.empty(rows).bfloat16()
    targets = torch.from_numpy(np.random.default_rng(n_tokens).integers(0, n_tokens, rows))
    way.predict(p, n_tokens, wanted)(targets)
    return p, wanted


def bent(way, size):
    """GELU and the slope at its input."""
    x, slope = numbers(70, 32, size=size), numbers(70, 32, seed=1)
    out = torch.empty_like(x)
    way.gelu(x, out)()
    way.gelu_back(slope, x)()
    return out, slope


def summed(way):
    """Sums of columns, and the slopes of input rows, some of whose ids come often."""
    rows, out = numbers(1_120, 96), torch.empty(96).bfloat16()
    way.column_sums(rows, out)()
    matrix, slopes = numbers(50, 96, seed=2), numbers(160, 96, seed=3)
    sums = way.input_sums(slopes, matrix)
    ids = torch.from_numpy(np.random.default_rng(1).integers(0, 50, 320) ** 2 // 50)
    sums(ids[:160])
    sums(ids[160:])
    return out, matrix


CASES = {f"norm-{width}": (normed, width) for width in WIDTHS}
CASES |= {f"attend-{context}": (attended, context) for context in (32, 64, 96, 128)}
CASES |= {f"attend-apart-{size}": (attended, 64, size) for size in (0.0, 1e-3, 400.0, 3e4)}
CASES |= {f"predict-{n_tokens}": (predicted, n_tokens) for n_tokens in (1, 8, 63, 64, 65, 203, 4_000)}
CASES |= {f"predict-apart-{size}": (predicted, 200, 24, size) for size in (0.0, 30.0, 60.0, 1e3)}
CASES |= {f"gelu-{size}": (bent, size) for size in (1e-3, 1.0, 10.0)} | {"sums": (summed,)}


@pytest.mark.parametrize("case", CASES)
def test_compiled_and_torch_s_operations_agree(case):
    make, *given = CASES[case]
    for place, (one, two) in enumerate(zip(*(make(way, *given) for way in WAYS), strict=True)):
        assert agree(one, two), f"result {place}"


def test_every_bfloat16_has_torch_s_gelu():
    every = torch.arange(1 << 16).to(torch.int16).view(torch.bfloat16)
    found = torch.empty_like(every)
    Compiled.gelu(every, found)()
    assert torch.equal(torch.nan_to_num(found, 7.0), torch.nan_to_num(torch.nn.functional.gelu(every), 7.0))


def test_a_layer_norm_is_near_that_in_float64():
    x, out, mean, scale, *_ = normed(Compiled, 128)
    weight, bias = numbers(128, seed=2).double(), numbers(128, seed=2).double()
    exact = torch.nn.functional.layer_norm(x.double(), (128,), weight, bias, 1e-5)
    assert (out.double() - exact).abs().max() <= 2**-8 * exact.abs().max()
    assert torch.allclose(mean[:, 0].double(), x.double().mean(1), rtol=2**-8, atol=2**-12)
    assert torch.allclose(scale[:, 0].double(), 1 / x.double().std(1, correction=0), rtol=2**-8)


def test_probabilities_are_those_of_a_causal_softmax_in_float64():
    p, _ = attended(Compiled, 64)
    scores = (numbers(2, 64, 64, size=6.0).float() * 0.125).bfloat16().double()
    exact = torch.softmax(scores.masked_fill(torch.ones(64, 64).triu(1).bool(), -torch.inf), 2)
    assert torch.equal(p == 0, exact == 0)
    assert torch.allclose(p.double(), exact, rtol=1.01 * 2**-8, atol=0)


@njit
def exponentials(x, out):
    """exp of x, a multiple of eight long."""
    for place in range(0, len(x), 8):
        lanes.store(out, place, softmax.exponential(lanes.load(x, place)))


def test_the_exponential_errs_by_less_than_one_unit_in_the_last_place():
    x = -np.concatenate([np.linspace(0, 130, 40_000), np.logspace(-40, 0, 4_000)]).astype(np.float32)
    found = np.empty_like(x)
    exponentials(x, found)
    exact = np.exp(x.astype(np.float64))
    unit = np.spacing(np.maximum(exact.astype(np.float32), np.finfo(np.float32).smallest_subnormal))
    assert np.abs(found - exact).max() <= 1 and (np.abs(found - exact) <= unit).all()
    assert found[x == 0].tolist() == [1.0] and not found[x < -104].any()


@pytest.mark.skipif(not TORCH_IS_OURS, reason="torch takes another exponential without AVX-512")
def test_the_exponential_is_torch_s_to_the_bit():
    """Its softmax of 0, x below -17.4 and nothing else has e^x itself second: the sum is rounded to 1."""
    x = -np.random.default_rng(3).uniform(17.4, 86, 1 << 16).astype(np.float32)
    logits = torch.full((len(x), 32), -torch.inf)
    logits[:, 0], logits[:, 1] = 0, torch.from_numpy(x)
    found = np.empty_like(x)
    exponentials(x, found)
    assert np.array_equal(found, torch.softmax(logits, 1)[:, 1].numpy())


def test_a_number_that_is_none_stays_none():
    """The loss shows it, and training stops."""
    for way in WAYS:
        p, wanted = numbers(8, 64), torch.empty(8).bfloat16()
        p[3, 5], p[6, 0] = torch.nan, torch.inf
        way.predict(p, 40, wanted)(torch.arange(8))
        assert wanted.isnan().tolist() == [row in (3, 6) for row in range(8)], way
        p = numbers(1, 32, 32)
        p[0, 20, 4] = torch.nan
        way.attend(p, 1.0)()
        assert p.isnan().any(2).tolist() == [[row == 20 for row in range(32)]], way
        x, ones = numbers(32, 32), torch.ones(32).bfloat16()
        x[9, 9] = torch.nan
        out, mean, scale = torch.empty_like(x), *(x.new_empty(32, 1) for _ in range(2))
        way.norm(x, torch.zeros(32, 32).bfloat16(), ones, ones, out, mean, scale)()
        assert out.isnan().all(1).tolist() == [row == 9 for row in range(32)], way


def test_what_is_no_token_is_refused():
    """Compiled code looks at no bounds by itself."""
    p, wanted = numbers(8, 64), torch.empty(8).bfloat16()
    for odd in (40, 64, 5_000_000, -1):
        targets = torch.arange(8)
        targets[5] = odd
        with pytest.raises(IndexError, match="no token"):
            Compiled.predict(p, 40, wanted)(targets)
    model = transformer.Transformer(LEAN, 100, transformer.initial(LEAN, 100).bfloat16())
    for shape in ((8, 128), (4, 129), (16, 129)):
        with pytest.raises(ValueError, match=r"windows \(\d+, \d+\); these settings take \(8, 129\)"):
            model.step(torch.zeros(shape, dtype=torch.int64))


def test_without_a_compiler_torch_does_it(monkeypatch):
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    assert operations_for(GOLDILOCKS, torch.bfloat16) is Plain


def test_who_is_compiled():
    assert all(operations_for(one, torch.bfloat16) is Compiled for one in (GOLDILOCKS, LEAN, BALANCED))
    assert operations_for(GOLDILOCKS, torch.float32) is Plain
    odd = ({"width": 48}, {"context": 100}, {"feed_forward": 200}, {"width": 288}, {"batch": 4_097})
    assert all(operations_for(replace(GOLDILOCKS, **one), torch.bfloat16) is Plain for one in odd)


@pytest.mark.skipif(not TORCH_IS_OURS, reason="torch sums in another order without AVX-512")
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_step_has_the_bits_of_torch_s_operations(monkeypatch, tied, threads):
    settings = Settings(layers=2, width=64, heads=2, feed_forward=96, context=64, batch=3, tied=tied, threads=threads)
    start = transformer.initial(settings, 203).bfloat16()
    windows = torch.from_numpy(np.random.default_rng(2).integers(0, 120, (3, 65)))
    found = []
    for way in WAYS:
        monkeypatch.setattr(transformer, "operations_for", lambda *_, way=way: way)
        with Team(threads) as team:
            model = transformer.Transformer(settings, 203, start, team)
            assert model.operations is way
            signals = model.step(windows, model.column(np.arange(203) >= 120))
        found.append((model.gradients, *signals))
    for one, two in zip(*found, strict=True):
        assert one == two if isinstance(one, float) else torch.equal(one, two)


DIGEST = """
import sys
sys.path.insert(0, "tests")
import test_goldilocks_operations as t
print(t.digest())
"""


def digest() -> str:
    """A hash of what the compiled operations give in all cases."""
    found = hashlib.sha256()
    for make, *given in CASES.values():
        for tensor in make(Compiled, *given):
            found.update(lanes.bits_of(tensor + 0).tobytes())
    return found.hexdigest()


def test_the_bits_do_not_depend_on_the_processor():
    """Compiled for one without AVX-512 they are the same."""
    lesser = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi2"}
    if not TORCH_IS_OURS:
        pytest.skip("this processor has nothing more to leave out")
    code = [sys.executable, "-c", DIGEST]
    other = subprocess.run(code, env={**os.environ, **lesser}, capture_output=True, text=True, timeout=300)
    assert other.stdout.strip() == digest(), other.stderr
