"""How a cost grows: seconds at several sizes, and the power of the size that they follow, as a row of the table.

The figure of the colophon draws these rows; the ratio of a row is the slope of its line.
"""

from collections.abc import Callable, Sequence

import numpy as np

SIZES = [(n_rows, 576) for n_rows in (8_192, 12_288, 16_384, 24_576, 49_152)]
WIDTHS = [(16_000, dim) for dim in (128, 256, 576, 1_280, 2_560)]


def growth(
    name: str, of: str, shapes: Sequence[tuple[int, int]], cost: Callable[[int, int], dict[str, float]], target: float
) -> dict:
    """Seconds of each way at each shape (N, D), and the slope of `seconds` over what varies, both in logarithms."""
    taken = [cost(*shape) for shape in shapes]
    varies = int(len({dim for _, dim in shapes}) > 1)
    sizes = [shape[varies] for shape in shapes]
    columns = {key: [point[key] for point in taken] for key in taken[0]}
    slope = np.polyfit(np.log(sizes), np.log(columns["seconds"]), 1)[0]
    letter, others = ("N", "D") if not varies else ("D", "N")
    what = (
        f"{of}: the power of {letter} that time follows from {sizes[0]:,} to {sizes[-1]:,}, "
        f"{others} = {shapes[0][1 - varies]:,}"
    )
    row = {"name": name, "what": what, "ratio": float(slope), "sense": "under", "target": target}
    return row | {"varies": letter, "sizes": sizes} | columns
