"""The published constellation of Qwen3-4B: 13 black holes as bit patterns in the 20 components in which they differ.

In all other components the 13 are the same, so that every distance between two of them is known exactly from
these 20, in cells and in gamma units, without the model's weights [harrell2025azimuth]. Chapter: The frozen
smoke.
"""

import csv
import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from compute.lattice import value
from compute.smoke.adjacency import Linkage, cell_distances, coordinates


@dataclass(frozen=True, eq=False)
class Constellation:
    """Black holes of one model, in the order of their populations."""

    populations: np.ndarray  # (n,) int64
    representatives: np.ndarray  # (n,) int64, a member's token id each
    components: np.ndarray  # (K,) int64, indices of the components that differ
    bits: np.ndarray  # (n, K) uint16, bfloat16 patterns

    @cached_property
    def places(self) -> np.ndarray:
        """Ordinals of the patterns, (n, K) int64."""
        return coordinates(self.bits, "BF16")

    @cached_property
    def linf(self) -> Linkage:
        """The holes by L-infinity distance, in cells."""
        return Linkage(cell_distances(self.places, "linf"))

    @cached_property
    def l1(self) -> np.ndarray:
        """L1 distances (n, n) int64, in cells."""
        return cell_distances(self.places, "l1")

    @cached_property
    def separation(self) -> np.ndarray:
        """Euclidean distances (n, n) float64, in gamma units."""
        values = value(self.bits)
        return np.sqrt(((values[:, None] - values[None]) ** 2).sum(axis=2))

    @cached_property
    def farthest_component(self) -> np.ndarray:
        """Largest differences in one component (n, n) float64, in gamma units: what ULP at one scale would divide."""
        values = value(self.bits)
        return np.abs(values[:, None] - values[None]).max(axis=2)

    @cached_property
    def exponents(self) -> np.ndarray:
        """Biased exponents (n, K) int64."""
        return (self.bits.astype(np.int64) >> 7) & 0xFF

    @property
    def same_binade(self) -> bool:
        """Whether all holes share sign and exponent in every component, so that patterns differ as cells do."""
        return bool((self.bits >> 7 == self.bits[0] >> 7).all())

    def square_sums(self) -> np.ndarray:
        """The sum of squares over the components that differ, (n,) float64: its spread is that of |gamma|^2."""
        return (value(self.bits) ** 2).sum(axis=1)


def read(text: str) -> Constellation:
    """Reads the constellation's CSV: hole, population, representative_token_id, then a dim_<index> each.

    Raises ValueError where the header is another, a row is short, or a number is no bfloat16 pattern.
    """
    header, *rows = _rows(text)
    if header[:3] != ["hole", "population", "representative_token_id"] or not all(
        name.startswith("dim_") for name in header[3:]
    ):
        raise ValueError(f"a constellation has hole, population, representative_token_id, dim_...; found {header}")
    table = np.array([[int(entry) for entry in row] for row in rows], dtype=np.int64)
    bits = table[:, 3:]
    if bits.size and not 0 <= bits.min() <= bits.max() <= 0xFFFF:
        raise ValueError(f"bfloat16 patterns are 0 to 65535; found {bits.min()} to {bits.max()}")
    components = np.array([int(name.removeprefix("dim_")) for name in header[3:]], dtype=np.int64)
    return Constellation(table[:, 1], table[:, 2], components, bits.astype(np.uint16))


def read_matrix(text: str) -> np.ndarray:
    """Reads a published matrix of distances: a header, then a row a hole with its number first; (n, n) int64."""
    matrix = np.array([[int(entry) for entry in row[1:]] for row in _rows(text)[1:]], dtype=np.int64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a matrix of distances is square; found {matrix.shape}")
    return matrix


def read_exponents(text: str) -> np.ndarray:
    """Reads the histogram of exponents into one biased exponent a component, (D,) int64, ascending."""
    counts = np.array([[int(entry) for entry in row] for row in _rows(text)[1:]], dtype=np.int64)
    return np.repeat(counts[:, 0], counts[:, 1])


def norm_bounds(exponents: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest norm of a vector with these biased exponents, in gamma units.

    A weight of exponent E lies in [2^(E - 127), 2^(E - 126)).
    """
    smallest = float(np.sqrt((4.0 ** (np.asarray(exponents, dtype=np.int64) - 127)).sum()))
    return smallest, 2 * smallest


def _rows(text: str) -> list[list[str]]:
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if len(rows) < 2 or len({len(row) for row in rows}) != 1:
        raise ValueError(f"a table has a header and rows of one length; found lengths {[len(row) for row in rows]}")
    return rows
