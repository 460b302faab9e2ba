"""A film of a moving cloud in letters: every point's place after every step, one letter a coordinate.

The cloud's mean path is written in full; each point is written as seen from it, by its change from frame to frame in
64 levels. A change is taken from where the point was last shown, not from where it was, so that rounding never adds up.
Chapter: Supernova.
"""

import numpy as np

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
HALF = len(LETTERS) // 2 - 1  # the largest change of a letter, 31; -32 is not used
FINE = len(LETTERS) ** 2  # levels of a place in the first frame, two letters


def reel(places: np.ndarray) -> dict:
    """Return a film as plain JSON: points and frames; path, the mean of each frame; reach, unit, first, moves.

    places: (T + 1, n, 2). A point's first place, from the mean, is (level / 4095 - 0.5) 2 reach; a letter of its later
    ones changes it by (letter - 31) unit. Letters run over frames, then axes, then points. Raises ValueError for any
    other shape, fewer than two frames or places that are not finite.
    """
    places = np.asarray(places, dtype=float)
    if places.ndim != 3 or places.shape[2] != 2 or len(places) < 2 or not places.shape[1]:
        raise ValueError(f"places (frames, points, 2) with two frames or more asked for; found {places.shape}")
    if not np.isfinite(places).all():
        raise ValueError("places that are finite asked for; a film cannot show infinity")
    path = places.mean(axis=1).round(6)  # (T + 1, 2)
    seen = (places - path[:, None]).transpose(0, 2, 1)  # (T + 1, 2, n)
    reach = float(np.abs(seen[0]).max()) or 1.0
    unit = float(np.abs(np.diff(seen, axis=0)).max()) / HALF or reach / HALF
    levels = np.rint((seen[0] / (2 * reach) + 0.5) * (FINE - 1)).astype(int)
    shown, moves = (levels / (FINE - 1) - 0.5) * 2 * reach, []
    for frame in seen[1:]:
        change = np.clip(np.rint((frame - shown) / unit), -HALF, HALF).astype(int)
        shown = shown + change * unit
        moves.append(change + HALF)
    return {
        "points": places.shape[1],
        "frames": len(places),
        "path": path.tolist(),
        "reach": reach,
        "unit": unit,
        "first": _spelled(np.stack(np.divmod(levels, len(LETTERS)), axis=-1)),
        "moves": _spelled(np.array(moves)),
    }


def _spelled(numbers: np.ndarray) -> str:
    return np.frombuffer(LETTERS.encode(), np.uint8)[numbers.ravel()].tobytes().decode()


def places(film: dict) -> np.ndarray:
    """Return the places (T + 1, n, 2) that a film shows: what book/_static/film.js draws."""
    number = np.zeros(128, int)
    number[np.frombuffer(LETTERS.encode(), np.uint8)] = np.arange(len(LETTERS))
    high, low = number[np.frombuffer(film["first"].encode(), np.uint8)].reshape(2, film["points"], 2).transpose(2, 0, 1)
    first = ((high * len(LETTERS) + low) / (FINE - 1) - 0.5) * 2 * film["reach"]  # (2, n)
    moves = number[np.frombuffer(film["moves"].encode(), np.uint8)].reshape(film["frames"] - 1, 2, film["points"])
    seen = np.concatenate([first[None], first + np.cumsum((moves - HALF) * film["unit"], axis=0)])
    return seen.transpose(0, 2, 1) + np.array(film["path"])[:, None]
