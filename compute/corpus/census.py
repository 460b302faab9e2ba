"""Who lives and who is dead: the tokens of a corpus by script, with examples.

Chapter: Goldilocks.
"""

from collections.abc import Sequence

import numpy as np

from compute.smoke import scripts

EXAMPLES = 8


def census(texts: Sequence[bytes], counts: np.ndarray, special: np.ndarray | None = None) -> list[dict]:
    """Live and dead tokens by script, the largest first, with the commonest live and the first dead of each.

    texts: V byte strings; counts: (V,) how often each occurs in the text that is trained on, 0 for the dead;
    special: (V,) bool, tokens that stand for no text. Returns rows of script, tokens, live, dead, occurrences, and
    up to eight ids each as live_examples and dead_examples.
    """
    script = scripts.traits(texts, special).script  # (V,) str
    rows = []
    for name in np.unique(script):
        ids = np.flatnonzero(script == name)
        order = ids[np.argsort(-counts[ids], kind="stable")]
        live = order[counts[order] > 0]
        dead = ids[counts[ids] == 0]
        rows.append(
            {
                "script": str(name),
                "tokens": len(ids),
                "live": len(live),
                "dead": len(dead),
                "occurrences": int(counts[ids].sum()),
                "live_examples": live[:EXAMPLES].tolist(),
                "dead_examples": dead[:EXAMPLES].tolist(),
            }
        )
    return sorted(rows, key=lambda row: (-row["tokens"], row["script"]))
