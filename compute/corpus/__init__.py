"""The text that Goldilocks learns from, as tokens, and the tokens that never occur in it."""

from compute.corpus.census import census
from compute.corpus.opening import open_corpus
from compute.corpus.stream import Corpus

__all__ = ["Corpus", "census", "open_corpus"]
