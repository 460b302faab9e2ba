"""Measures the round trip of Qwen's whole vocabulary, 151,669 tokens, through its real tokenizer: `reachability.py`.

Building the tokenizer and finding witnesses for bytes and fragments are timed beside it. Fetches the vocabulary where
it is not here. Prints one JSON object.
"""

import json
import time

from compute.models.tokenizer import qwen
from compute.smoke.reachability import round_trip, witnesses


def main() -> None:
    start = time.perf_counter()
    found = qwen()
    tokens, encoder = found.tokens(151_936), found.encoder()
    built = time.perf_counter()
    told = round_trip(tokens, encoder)
    tripped = time.perf_counter()
    shown = witnesses(tokens, told, encoder)
    done = time.perf_counter()
    print(
        json.dumps(
            {
                "tokens": int(told.tested.sum()),
                "unreachable": int(told.unreachable.sum()),
                "build_seconds": built - start,
                "round_trip_seconds": tripped - built,
                "witnesses": sum(text is not None for text in shown.values()),
                "witness_seconds": done - tripped,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
