"""The round trip of Qwen's whole vocabulary, 151,669 tokens, through its real tokenizer.

Building the tokenizer and finding witnesses for bytes and fragments are timed beside it. Fetches the vocabulary
where it is not here.
"""

import time

from compute.models.tokenizer import qwen
from compute.smoke.reachability import round_trip, witnesses


def main() -> list[dict]:
    """Measures; returns one row, in seconds."""
    start = time.perf_counter()
    found = qwen()
    tokens, encoder = found.tokens(151_936), found.encoder()
    built = time.perf_counter()
    told = round_trip(tokens, encoder)
    tripped = time.perf_counter()
    shown = witnesses(tokens, told, encoder)
    done = time.perf_counter()
    return [
        {
            "name": "reachability",
            "what": f"the round trip of {int(told.tested.sum()):,} tokens through Qwen's tokenizer, seconds",
            "ratio": tripped - built,
            "sense": "under",
            "target": 20,
            "build_seconds": built - start,
            "witness_seconds": done - tripped,
            "witnesses": sum(text is not None for text in shown.values()),
        }
    ]
