"""The theory of dead tokens against slow sums, autograd, torch's own Adam, and swarms made by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from compute import lattice, rounding
from compute.goldilocks import autograd, dynamics, tracking, transformer
from compute.goldilocks.settings import Settings

SMALL = Settings(layers=2, width=48, heads=3, feed_forward=80, context=16, batch=4)
TOKENS, LIVE = 200, 120
DEAD = np.arange(LIVE, TOKENS)


def a_batch(seed=7):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, LIVE, (SMALL.batch, SMALL.context + 1), generator=generator)


def weights_of(settings, dtype=torch.float64):
    flat = transformer.initial(settings, TOKENS)
    flat += 0.05 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(3))
    transformer.views(flat, transformer.layout(settings, TOKENS))["padding"].zero_()
    return transformer.Transformer(settings, TOKENS, flat.to(dtype))


def hand_made(positions=40, dim=6, tokens=9, seed=42):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(positions, dim)), generator.normal(size=(tokens, dim)), np.array([2, 5, 8])


def test_probabilities_and_gradients_are_the_sums_they_are_said_to_be():
    hidden, matrix, dead = hand_made()
    p = dynamics.dead_probabilities(hidden, matrix, dead)
    gradients = dynamics.gradients(p, hidden)
    slow = np.zeros((3, 6))
    for position in hidden:
        whole = np.exp(matrix @ position)
        slow += np.outer(whole[dead] / whole.sum(), position) / len(hidden)
    np.testing.assert_allclose(gradients, slow, rtol=1e-12)


@pytest.mark.parametrize("tied", [True, False])
def test_autograd_agrees_with_the_formula_and_with_the_pass_by_hand(tied):
    settings = replace(SMALL, tied=tied)
    model = weights_of(settings)
    found = autograd.differentiate(settings, model.weight, a_batch())
    matrix = model.weight[model.output].numpy()
    hidden = found.hidden.numpy()
    formula = dynamics.gradients(dynamics.dead_probabilities(hidden, matrix, DEAD), hidden)
    np.testing.assert_allclose(found.output.numpy()[DEAD], formula, rtol=1e-9, atol=1e-16)
    assert (found.input is found.output) == tied
    signals = model.step(a_batch())
    assert signals.loss == pytest.approx(found.loss, rel=1e-6)
    by_hand = model.slope[model.output]
    assert float((by_hand - found.output).norm() / found.output.norm()) < 1e-6  # input rows are summed in float32
    torch.testing.assert_close(signals.hidden, found.hidden)


def test_nothing_comes_to_a_dead_row_from_the_input_side():
    model = weights_of(SMALL)
    whole = autograd.differentiate(SMALL, model.weight, a_batch())
    cut = autograd.differentiate(SMALL, model.weight, a_batch(), cut=True)
    assert not cut.input[DEAD].any() and cut.input[:LIVE].any()
    torch.testing.assert_close(cut.input + cut.output, whole.output)


def test_bfloat16_is_as_far_from_the_formula_as_its_roundings_say():
    model = weights_of(replace(SMALL, batch=16), torch.bfloat16)
    generator = torch.Generator().manual_seed(7)
    hidden = model.step(torch.randint(0, LIVE, (16, SMALL.context + 1), generator=generator)).hidden.double().numpy()
    matrix = model.weight["embedding"].double().numpy()
    p = dynamics.dead_probabilities(hidden, matrix, DEAD)
    apart = model.slope["embedding"][DEAD].double().numpy() - dynamics.gradients(p, hidden)
    expected = dynamics.expected_rounding(p, hidden, matrix, DEAD)
    assert np.sqrt((apart**2).sum() / (expected**2).sum()) == pytest.approx(1, abs=0.1)


def test_a_swarm_in_one_point_is_parallel_and_one_nearly_so_is_as_the_first_order_says():
    generator = np.random.default_rng(42)
    hidden = generator.normal(size=(400, 32)) + 0.5
    matrix = generator.normal(0, 0.1, (150, 32))
    dead = np.arange(50, 150)
    matrix[dead] = matrix[0]
    p = dynamics.dead_probabilities(hidden, matrix, dead)
    gradients = dynamics.gradients(p, hidden)
    assert dynamics.cosines(gradients, gradients[0]).min() > 1 - 1e-12
    matrix[dead] += generator.normal(0, 0.02, (100, 32))
    p = dynamics.dead_probabilities(hidden, matrix, dead)
    gradients, found = dynamics.gradients(p, hidden), dynamics.weighing(p, hidden, matrix, dead)
    assert dynamics.cosines(gradients, found.mean).min() < 0.9999  # there is something to be explained
    assert dynamics.cosines(dynamics.first_order(found, matrix[dead]), gradients).min() > 0.99999
    measured = dynamics.cosines(gradients, found.mean).mean()
    assert dynamics.expected_coherence(found, matrix[dead]) == pytest.approx(measured, abs=2e-4)


def test_weights_of_positions_are_the_softmax_at_the_centroid():
    hidden, matrix, dead = hand_made()
    found = dynamics.weighing(dynamics.dead_probabilities(hidden, matrix, dead), hidden, matrix, dead)
    logits = np.exp(hidden @ matrix.T)
    share = np.exp(hidden @ matrix[dead].mean(axis=0)) / logits.sum(axis=1)
    share /= share.sum()
    np.testing.assert_allclose(found.mean, share @ hidden)
    np.testing.assert_allclose(found.covariance, np.cov(hidden.T, aweights=share, ddof=0), atol=1e-14)


def test_cosines_by_hand():
    rows = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(dynamics.cosines(rows, np.array([1.0, 0.0])), [1, 0.5**0.5, np.nan])
    assert dynamics.mean_pair_cosine(np.array([[1.0, 0], [0, 2.0], [-3.0, 0]])) == pytest.approx(-1 / 3)
    assert dynamics.sign_cosine(np.array([3.0, -4.0])) == pytest.approx(7 / (5 * 2**0.5))
    tiny = dynamics.angles(np.array([[1.0, 1e-9], [0.0, 2.0]]), np.array([3.0, 0.0]))
    np.testing.assert_allclose(tiny, [np.degrees(1e-9), 90])
    noise = np.random.default_rng(42).normal(size=20_000)
    assert dynamics.sign_cosine(noise) == pytest.approx((2 / np.pi) ** 0.5, abs=0.01)
    assert dynamics.along_ones(np.ones(7)) == pytest.approx(1) and dynamics.along_ones(np.array([1.0, -1])) == 0


def test_sizes_are_counted_once_each():
    histogram = dynamics.size_histogram(np.array([0.0, 1e-60, -2e-8, 0.5, 7.0]))
    assert histogram.sum() == pytest.approx(1) and histogram[0] == 0.4 and histogram[-1] == 0.4
    assert dynamics.SIZES[histogram.argsort()[-3]] == -8


def test_adam_in_float64_is_torch_s():
    gradients = np.random.default_rng(42).normal(0, 1e-7, (30, 5))
    weight = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weight], lr=1.0, betas=(0.8, 0.9), eps=1e-8)
    places = [np.zeros(5)]
    for gradient in gradients:
        weight.grad = torch.from_numpy(gradient.copy())
        adam.step()
        places.append(weight.detach().numpy().copy())
    steps = dynamics.adam_steps(gradients, 0.8, 0.9, 1e-8)
    np.testing.assert_allclose(np.cumsum(steps, axis=0), places[1:], rtol=1e-10)
    np.testing.assert_allclose(steps[0], dynamics.adam_first_step(gradients[0], 1e-8), rtol=1e-12)


def test_a_prediction_that_is_right_misses_nothing_and_none_misses_all():
    way = np.random.default_rng(42).normal(size=(20, 4))
    right = dynamics.agreement(way, way)
    assert right.missed == 0 and right.overall_length == 1 and right.cosine == pytest.approx(1)
    half = dynamics.agreement(way, way / 2)
    assert half.missed == pytest.approx(0.25) and half.length == pytest.approx(0.5)
    assert dynamics.agreement(way, 0 * way).missed == 1


def test_a_swarm_that_moves_as_one_loses_what_the_lattice_takes():
    settings = Settings(width=4, weight_decay=0.0)
    gradients = np.tile([1e-3, -2e-3, 5e-4, -1e-3], (3, 1))
    free = tracking.swarm_drift(settings, torch.zeros(1, 4, dtype=torch.bfloat16), gradients)
    np.testing.assert_allclose(free, -1e-3 * np.sign(gradients), rtol=0.02)
    rows = torch.full((5, 4), 2.0).bfloat16()  # half a cell of 2 is 2^-7: the step is lost
    assert not tracking.swarm_drift(settings, rows, gradients).any()
    near = torch.full((5, 4), 0.02).bfloat16()
    moved = tracking.swarm_drift(settings, near, gradients)
    assert (np.abs(moved - free) <= 2.0**-13).all()  # a cell
    assert float(near[0, 0]) == float(torch.tensor(0.02).bfloat16())  # the rows given are left alone


def test_expected_rounding_of_one_number_is_its_cell():
    hidden, matrix, dead = hand_made(positions=1)
    p = dynamics.dead_probabilities(hidden, matrix, dead)
    alone = dynamics.expected_rounding(p, hidden, matrix, dead)
    cell = lattice.ulp(rounding.round_nearest(dynamics.gradients(p, hidden)))
    assert (alone > cell / 12**0.5).all()


def measures(step, n, dim):
    generator = torch.Generator().manual_seed(step)
    found = {"loss": 5.0 + step, "dead_probability": 0.25}
    found |= {name: torch.randn(dim, generator=generator) for name in ("mean_h", "dead_pull")}
    return found | {"dead_gradient": torch.randn(n, dim, generator=generator).bfloat16()}


def test_a_track_is_what_happened_and_survives_a_kill():
    rows = [torch.randn(7, 5, generator=torch.Generator().manual_seed(step)).bfloat16() for step in range(6)]
    whole, broken = tracking.Track(5, 5), tracking.Track(5, 5)
    for step in range(1, 6):
        whole.observe(step, rows[step - 1], rows[step], measures(step, 7, 5))
        broken.observe(step, rows[step - 1], rows[step], measures(step, 7, 5))
        state, broken = broken.state(), tracking.Track(5, 5)
        broken.restore(state)
    found = whole.arrays()
    for name, array in broken.arrays().items():
        np.testing.assert_array_equal(array, found[name])
    np.testing.assert_allclose(found["start"] + found["drift"].sum(0), rows[-1].double().mean(0), atol=1e-6)
    assert found["loss"].tolist() == [6, 7, 8, 9, 10] and found["moved"].max() <= 1
    np.testing.assert_allclose(found["dead_pull"][2], measures(3, 7, 5)["dead_pull"])
    with pytest.raises(ValueError, match="step 6 is the next"):
        whole.observe(5, rows[0], rows[1], measures(5, 7, 5))
