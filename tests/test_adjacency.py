"""Distances in cells and what hangs together, against slow loops, networkx and a lattice counted by hand."""

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compute.smoke.adjacency import Linkage, bounding_box, cell_distances, cell_size, coordinates

SMALL = arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 6)), elements=st.integers(-3, 3))
WIDE = st.integers(-(2**31), 2**31)
HUGE = arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=WIDE)


@given(places=SMALL | HUGE)
@settings(deadline=None)
def test_distances_are_those_of_a_double_loop(places):
    for metric, reduce in (("linf", max), ("l1", sum)):
        rows = places.tolist()
        slow = [[reduce(abs(p - q) for p, q in zip(a, b, strict=True)) for b in rows] for a in rows]
        found = cell_distances(places, metric)
        assert found.dtype == np.int64
        assert found.tolist() == slow


@given(places=SMALL)
@settings(deadline=None)
def test_components_at_every_threshold_are_those_of_networkx(places):
    distances = cell_distances(places)
    linkage = Linkage(distances)
    counts = {}
    for threshold in range(8):
        graph = networkx.Graph()
        graph.add_nodes_from(range(len(places)))
        pairs = [(i, j) for i in range(len(places)) for j in range(i) if distances[i, j] <= threshold]
        graph.add_edges_from(pairs)
        components = sorted(sorted(c) for c in networkx.connected_components(graph))
        labels = linkage.labels(threshold)
        assert [np.flatnonzero(labels == k).tolist() for k in range(labels.max() + 1)] == components
        assert linkage.count(threshold) == len(components)
        assert linkage.degrees(threshold).tolist() == [graph.degree(i) for i in range(len(places))]
        assert sorted(map(sorted, linkage.edges(threshold).tolist())) == sorted(map(sorted, pairs))
        counts[threshold] = len(components)
    told = dict(linkage.steps())
    assert all(counts[t] == n for t, n in told.items())
    changes = [t for t in range(1, 8) if counts[t] != counts[t - 1]]
    assert sorted(told) == [0, *changes]


def test_rows_in_a_chain_hang_together_though_its_ends_are_far():
    linkage = Linkage(cell_distances(np.array([[0], [1], [2], [5], [6]])))
    assert linkage.steps() == [(0, 5), (1, 2), (3, 1)]
    assert linkage.labels(1).tolist() == [0, 0, 0, 1, 1]
    assert linkage.distances.max() == 6


def test_bfloat16_cells_go_through_zero_and_across_binades():
    # -0.0, +0.0, the smallest above it, 1.0, the next above 1.0, the next below 1.0
    bits = np.array([[0x8000], [0x0000], [0x0001], [0x3F80], [0x3F81], [0x3F7F], [0x8001]], dtype=np.uint16)
    distances = cell_distances(coordinates(bits, "BF16"))
    assert distances[0, 1] == 0
    assert distances[2, 6] == 2
    assert distances[3, 4] == distances[3, 5] == 1


@pytest.mark.parametrize(("storage", "dtype"), [("F16", np.float16), ("F32", np.float32)])
def test_other_floats_have_their_own_cells(storage, dtype):
    values = np.array([[1.0], [0.0], [-2.0], [0.5]], dtype=dtype)
    up = np.nextafter(values, dtype(10))
    both = np.concatenate([values, up]).view(f"uint{8 * dtype().itemsize}")
    places = coordinates(both, storage)
    assert (places[4:] - places[:4]).tolist() == [[1]] * 4


def q8_rows(scales, quants):
    """Rows of Q8_0 (n, 34 * blocks) uint8 from float16 scales (n, blocks) and int8 quants (n, blocks, 32)."""
    scales, quants = np.asarray(scales, dtype="<f2"), np.asarray(quants, dtype=np.int8)
    return np.concatenate([scales[..., None].view(np.uint8), quants.view(np.uint8)], axis=2).reshape(len(scales), -1)


def test_q8_0_counts_in_steps_of_the_centre():
    quants = np.zeros((4, 2, 32), dtype=np.int8)
    quants[:, 0, 0] = 126
    quants[1, 1, 5] = 1  # one step in the second block
    quants[3, 0, 0] = 64  # half the quant at twice the step, and one
    stored = q8_rows([[0.5, 2], [0.5, 2], [1, 2], [1, 2]], quants)
    distances = cell_distances(coordinates(stored, "Q8_0"))
    assert distances[0].tolist() == [0, 1, 126, 2]
    assert cell_distances(coordinates(stored, "Q8_0", centre=2))[2].tolist() == [63, 63, 0, 62]


def test_q8_0_with_a_block_of_zeros_at_the_centre_is_no_division_by_zero():
    quants = np.zeros((2, 1, 32), dtype=np.int8)
    quants[1, 0, 0] = 3
    assert cell_distances(coordinates(q8_rows([[0], [0.25]], quants), "Q8_0"))[0, 1] > 1_000_000


def test_formats_without_one_lattice_are_refused():
    with pytest.raises(ValueError, match="Q4_K"):
        coordinates(np.zeros((2, 144), np.uint8), "Q4_K")
    with pytest.raises(ValueError, match="Q4_K"):
        cell_size(np.zeros((1, 144), np.uint8), "Q4_K")
    with pytest.raises(ValueError, match="linf, l1"):
        cell_distances(np.zeros((2, 2), np.int64), "l2")
    with pytest.raises(TypeError, match="float64"):
        cell_distances(np.zeros((2, 2)))


@pytest.mark.parametrize("count", [0, 1])
def test_no_row_and_one_row_are_no_error(count):
    linkage = Linkage(cell_distances(np.zeros((count, 4), np.int64)))
    assert linkage.steps() == [(0, count)]
    assert linkage.labels(1).tolist() == [0] * count
    assert linkage.edges(5).shape == (0, 2)


def test_the_box_of_a_handful_of_rows():
    box = bounding_box(np.array([[5, 0, 7], [5, -3, 8], [5, 4, 8]]))
    assert box.span.tolist() == [0, 7, 1]
    assert box.varying.tolist() == [1, 2]
    assert box.patterns.tolist() == [1, 3, 2]
    assert box.widest == 1
    with pytest.raises(ValueError, match="no rows"):
        bounding_box(np.zeros((0, 3), np.int64))


def test_the_size_of_a_cell_is_the_length_of_a_hop_in_a_component_drawn_at_random():
    bits = np.array([[1.0, 1.5, -0.25, 3.0]], dtype=np.float32).view(np.uint32) >> 16
    mean = np.sqrt(np.mean(np.array([2.0**-7, 2.0**-7, 2.0**-9, 2.0**-6]) ** 2))
    assert cell_size(bits.astype(np.uint16), "BF16") == pytest.approx(mean)
    assert cell_size(np.full((1, 3), 1.5, np.float32).view(np.uint32), "F32") == pytest.approx(2.0**-23)
    stored = q8_rows([[0.5, 0.25, 2]], np.ones((1, 3, 32)))
    assert cell_size(stored, "Q8_0") == pytest.approx(np.sqrt((0.25 + 0.0625 + 4) / 3))
