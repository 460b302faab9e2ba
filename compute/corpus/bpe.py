"""Byte-pair encodings as Goldilocks has them: trained apart on two languages, then merged into one.

Arrays and texts in, texts out; nothing here touches the disk. A tokenizer travels as its JSON text.
Chapter: Goldilocks.
"""

import json
from collections.abc import Iterable, Iterator

import numpy as np

VOCABULARY = 2_048  # tokens of each parent, the unknown token included
# The only special token. Without it a character outside the alphabet would vanish without a trace, so that what is
# decoded is not what was encoded; documents need no mark, since every one begins with a word, and so with a ▁.
UNKNOWN = "<unk>"
SPACE = "▁"
BATCH = 512  # documents encoded at once: what the library returns a token takes far more room than the token


def train(documents: Iterable[str], size: int = VOCABULARY) -> str:
    """Trains a byte-pair encoding of at most `size` tokens on documents [sennrich2016bpe]; returns its JSON.

    Words are marked by a ▁ before them (Metaspace) and never merged across. Training is deterministic: ties fall
    to the smaller ids, and the alphabet is in the order of code points.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[UNKNOWN], show_progress=False)
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer.to_str()


def surfaces(tokenizer: str) -> list[str]:
    """The surface strings of a tokenizer's tokens, in the order of their ids."""
    vocabulary = json.loads(tokenizer)["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.get)


def merge(first: str, second: str) -> str:
    """One tokenizer with all tokens of two: the ids of the first, then those tokens of the second it lacks.

    A merge of the second is kept only where its product has a character that the first does not know: any other
    could still fire on text of the first, after the merges of the first, and change its ids. So text in the
    alphabet of the first is encoded exactly as by the first alone, and text outside it as by the second; a token
    of the second that is spelled in the first's alphabet has its row but can never be encoded.
    """
    whole, other = json.loads(first), json.loads(second)
    vocabulary = whole["model"]["vocab"]
    known = {token for token in vocabulary if len(token) == 1}
    for token in surfaces(second):
        vocabulary.setdefault(token, len(vocabulary))
    for left, right in other["model"]["merges"]:
        if not known.issuperset(left + right):
            whole["model"]["merges"].append([left, right])
    return json.dumps(whole, ensure_ascii=False)


def encode(tokenizer: str, documents: Iterable[str]) -> np.ndarray:
    """The tokens of documents, one after the other: (T,) uint16. Raises ValueError where an id needs more bits."""
    from tokenizers import Tokenizer

    ready = Tokenizer.from_str(tokenizer)
    if ready.get_vocab_size() > 1 << 16:
        raise ValueError(f"{ready.get_vocab_size():,} tokens do not fit into 16 bits; train fewer than 65,536")
    parts = [
        np.array(encoding.ids, dtype=np.uint16)
        for batch in _batches(documents)
        for encoding in ready.encode_batch_fast(batch)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint16)


def decode(tokenizer: str, ids: Iterable[int]) -> str:
    """The text of some tokens."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(tokenizer).decode([int(i) for i in ids])


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for document in documents:
        batch.append(document)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
