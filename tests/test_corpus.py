"""The corpus: files as documents, two tokenizers as one, live and dead tokens, and texts that cannot be trained on."""

import hashlib
import json
import math
import os
import random

import numpy as np
import pytest

from compute import corpus as corpora
from compute.cache import reach
from compute.corpus import bpe, opening, reading, stream

WORDS = "the star of a dark token drifts and cools in dust while light falls on stones near another sun".split()
THAI = "ดาว มืด แสง ฝุ่น ท้องฟ้า ดวงอาทิตย์ กลางคืน กาแล็กซี วงโคจร นาย star".split()
# Of the book's own corpus; they change only if the wheels, the tokenizer's settings or the library do.
FINGERPRINT = "e54e9ca87c520494469317ed915b146160d4231acaa1ea736111555a029fdd20"
TOKENIZER = "c25726a4516ae8107dc8fa392d80db193101a4f6ab5460c583520ede4f8e7b42"
STREAM = "af35ef1008fdf9081b767472277fac4cd96459e01dcb0b54b9f98f2377bf37e3"


def english(count: int = 4000, seed: int = 1) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def thai(count: int = 300, seed: int = 2) -> str:
    chosen = random.Random(seed)
    return "\n".join("".join(chosen.choices(THAI, k=chosen.randint(1, 3))) for _ in range(count))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small corpus of one's own: English to train on, Thai never to be seen."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "stars.txt").write_text(english(), "utf-8")
    (folder / "thai.txt").write_text(thai(), "utf-8")
    return corpora.open_corpus(str(folder / "stars.txt"), str(folder / "thai.txt"))


@pytest.fixture(scope="module")
def real():
    """The book's own corpus; skipped where it has not been fetched."""
    from compute.models.inputs import registry
    from compute.models.sources import _is_here

    if not all(_is_here(registry()[row]) for row in ("newsgroups", "thai")):
        pytest.skip("20 Newsgroups and Thai are not here: python -m compute fetch newsgroups thai")
    return corpora.open_corpus()


# Tokenizers


def parents() -> tuple[str, str]:
    return bpe.train(english().split("\n")), bpe.train(thai().split("\n"))


def test_training_is_deterministic():
    first, second = (hashlib.sha256(bpe.merge(*parents()).encode()).hexdigest() for _ in range(2))
    assert first == second


def test_ids_are_those_of_the_first_then_what_the_second_adds():
    one, other = parents()
    whole, mine, theirs = bpe.surfaces(bpe.merge(one, other)), bpe.surfaces(one), bpe.surfaces(other)
    assert whole[: len(mine)] == mine and len(set(whole)) == len(whole)
    assert whole[len(mine) :] == [token for token in theirs if token not in mine]
    assert 0 < len(set(mine) & set(theirs)) < len(theirs)  # they share some, and not all


def test_text_of_the_first_has_the_ids_of_the_first_and_text_of_the_second_its_tokens():
    one, other = parents()
    merged = bpe.merge(one, other)
    for text in ("the star", english(300, seed=9), "starstarstar", "nothing was learnt of tnetnet"):
        assert bpe.encode(merged, [text]).tolist() == bpe.encode(one, [text]).tolist()
    for line in thai(50, seed=8).replace("star", "").split():
        mine, theirs = bpe.encode(merged, [line]), bpe.encode(other, [line])
        whole, parent = bpe.surfaces(merged), bpe.surfaces(other)
        assert [whole[i] for i in mine] == [parent[i] for i in theirs]
        assert bpe.decode(merged, mine) == bpe.decode(other, theirs) == line


def test_without_the_rule_on_merges_the_second_would_change_the_text_of_the_first():
    """The test above is not blind: with all merges of the second kept, "star" inside a word is one token, not two."""
    one, other = parents()
    merged, text = bpe.merge(one, other), ["istar"]
    naive, theirs = json.loads(merged), json.loads(other)
    known = {tuple(pair) for pair in naive["model"]["merges"]}
    naive["model"]["merges"] += [pair for pair in theirs["model"]["merges"] if tuple(pair) not in known]
    assert bpe.encode(merged, text).tolist() == bpe.encode(one, text).tolist()
    assert bpe.encode(json.dumps(naive), text).tolist() != bpe.encode(one, text).tolist()


def test_an_unknown_character_leaves_a_trace():
    one, _ = parents()
    assert bpe.surfaces(one)[0] == bpe.UNKNOWN
    assert 0 in bpe.encode(one, ["the ☃ star"])


def test_batches_are_seamless():
    one, _ = parents()
    documents = [word for word in english(bpe.BATCH * 2 + 3).split()]
    whole = bpe.encode(one, [" ".join(documents)])
    assert np.array_equal(bpe.encode(one, documents), whole)
    assert bpe.encode(one, []).dtype == np.uint16 and not len(bpe.encode(one, []))


# Files


def test_a_table_of_newsgroups_and_a_list_of_words_are_read():
    table = "Category\tText\nd\tstring\nclass\t\n\nalt.x\tone  two \nsci.y\tthree\n"
    assert reading.documents(table.encode(), reading.NEWSGROUPS, "t") == ["one two", "three"]
    titles = "# Titles\n# SPDX\nปากหวาน\n\n รถไฟ  ฟ้า\n"
    assert reading.documents(titles.encode(), reading.THAI, "t") == ["ปากหวาน", "รถไฟ ฟ้า"]
    long = " \n".join(["x"] * (reading.WORDS + 1))
    assert [len(d.split()) for d in reading.documents(long.encode(), reading.PLAIN, "t")] == [reading.WORDS, 1]


@pytest.mark.parametrize(
    ("raw", "form", "said"),
    [
        (b"", reading.PLAIN, "holds no word"),
        (b" \n\t ", reading.PLAIN, "holds no word"),
        (b"caf\xe9 noir", reading.PLAIN, "not UTF-8: byte 0xe9 at 3"),
        (b"\xff\xfes\x00t\x00", reading.PLAIN, "not UTF-8"),
        (b"s\x00t\x00", reading.PLAIN, "zero byte at 1"),
        (b"a\nb\nc\nno tab\n", reading.NEWSGROUPS, "without a tab"),
        (b"# only a comment\n", reading.THAI, "holds no word"),
    ],
)
def test_what_is_no_text_says_so(raw, form, said):
    with pytest.raises(ValueError, match=said) as error:
        reading.documents(raw, form, "some.txt")
    assert "some.txt" in str(error.value)


def test_a_byte_order_mark_is_no_word():
    assert reading.documents("\ufeffstar".encode(), reading.PLAIN, "t") == ["star"]


# Opening


def test_a_corpus_of_one_s_own(tiny):
    assert tiny.label == "stars.txt with thai.txt"
    assert tiny.stream.dtype == np.uint16 and not tiny.stream.flags.writeable
    assert tiny.n_tokens == len(tiny.texts) == len(tiny.counts) == len(tiny.dead)
    assert np.array_equal(tiny.counts, np.bincount(tiny.stream, minlength=tiny.n_tokens))
    assert tiny.dead[tiny.n_english :].all() and not tiny.dead[tiny.stream].any()
    read = bpe.decode(tiny.tokenised["tokenizer"], np.concatenate([tiny.stream, tiny.held_out]))
    assert read == english()
    assert len(tiny.held_out) / (len(tiny.stream) + len(tiny.held_out)) == pytest.approx(1 / reading.HELD_OUT, abs=0.02)
    every = [tiny.counts[i] / len(tiny.stream) for i in range(tiny.n_tokens) if tiny.counts[i]]
    assert tiny.unigram_entropy == pytest.approx(-sum(p * math.log(p) for p in every), rel=1e-12)
    assert b" star" in tiny.texts and "ดาว".encode() in b"".join(tiny.texts)


def test_a_folder_and_several_files_are_one_text(tmp_path, monkeypatch, tiny):
    words = english().split()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(" ".join(words[:900]))
    (tmp_path / "texts" / "b.txt").write_text(" ".join(words[900:1800]))
    (tmp_path / "texts" / "c.md").write_text("not of it")
    (tmp_path / "last").write_text(" ".join(words[1800:]))
    (tmp_path / "thai.txt").write_text(thai(), "utf-8")
    monkeypatch.setenv("AZIMUTH_CORPUS", os.pathsep.join([str(tmp_path / "texts"), str(tmp_path / "last")]))
    monkeypatch.setenv("AZIMUTH_CORPUS_UNSEEN", str(tmp_path / "thai.txt"))
    found = corpora.open_corpus()
    assert found.label == "a.txt and 2 more with thai.txt" and found.fingerprint != tiny.fingerprint
    assert np.array_equal(found.stream, tiny.stream)


def test_the_fingerprint_is_known_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("AZIMUTH_MODELS", str(tmp_path / "none"))
    monkeypatch.setattr(opening, "_fetched", lambda row, name: lambda: pytest.fail("it was fetched"))
    assert corpora.open_corpus().fingerprint == FINGERPRINT
    assert not (tmp_path / "none").exists()


def test_the_fingerprint_follows_the_text_and_not_its_name(tmp_path):
    for name, text in (("a.txt", "one text"), ("b.txt", "one text"), ("c.txt", "another")):
        (tmp_path / name).write_text(text)
    a, b, c = (corpora.open_corpus(str(tmp_path / name)).fingerprint for name in ("a.txt", "b.txt", "c.txt"))
    assert a == b != c


def test_how_a_corpus_is_fetched_is_no_part_of_what_names_a_result():
    found = reach.reach("compute.corpus.stream.tokenised")
    assert "compute.corpus.bpe.merge" in found and "compute.corpus.reading.documents" in found
    assert not [name for name in found if name.startswith(("compute.models", "compute.corpus.opening"))]


def test_texts_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no text at .*nowhere.txt"):
        corpora.open_corpus(str(tmp_path / "nowhere.txt"))
    with pytest.raises(ValueError, match="holds no .txt"):
        corpora.open_corpus(str(tmp_path))
    with pytest.raises(ValueError, match="names no text"):
        corpora.open_corpus(os.pathsep)


def refused(tmp_path, text: bytes, unseen: str = "") -> str:
    (tmp_path / "mine.txt").write_bytes(text)
    (tmp_path / "thai.txt").write_text(unseen or thai(), "utf-8")
    with pytest.raises(ValueError) as error:
        _ = corpora.open_corpus(str(tmp_path / "mine.txt"), str(tmp_path / "thai.txt")).stream
    return str(error.value)


def test_texts_that_nothing_can_be_trained_on(tmp_path):
    assert "mine.txt holds no word" in refused(tmp_path, b"")
    assert "mine.txt is not UTF-8" in refused(tmp_path, b"\xff\xff")
    assert f"one window needs {stream.WINDOW}" in refused(tmp_path, b"too short")
    assert "held-out text of mine.txt" in refused(tmp_path, english(400).encode())


def test_a_text_without_a_dead_token_is_refused():
    live = np.ones(5, dtype=np.int64)
    with pytest.raises(ValueError, match="every one of the 5 tokens occurs in mine: there is no dead token"):
        stream.check(np.zeros(200, np.uint16), np.zeros(200, np.uint16), live, "mine")


def test_a_text_that_changes_under_us_is_noticed(tmp_path):
    (tmp_path / "mine.txt").write_text(english(seed=6))
    (tmp_path / "thai.txt").write_text(thai(), "utf-8")
    opened = corpora.open_corpus(str(tmp_path / "mine.txt"), str(tmp_path / "thai.txt"))
    (tmp_path / "mine.txt").write_text(english(seed=5))
    with pytest.raises(ValueError, match="mine.txt has SHA-256 .* it changed"):
        _ = opened.stream


# Census


def test_the_census_counts_by_script():
    texts = [b"<unk>", b" star", b"dust", " ดาว".encode(), "มืด".encode(), b" 7"]
    special = np.array([True, False, False, False, False, False])
    rows = corpora.census(texts, np.array([0, 5, 9, 0, 0, 2]), special)
    assert [(row["script"], row["tokens"], row["live"], row["dead"]) for row in rows] == [
        ("Latin", 2, 2, 0), ("Thai", 2, 0, 2), ("no script", 1, 1, 0), ("special", 1, 0, 1)
    ]  # fmt: skip
    assert rows[0]["live_examples"] == [2, 1] and rows[1]["dead_examples"] == [3, 4] and rows[2]["occurrences"] == 2


def test_the_book_s_own_corpus(real):
    assert real.fingerprint == FINGERPRINT
    kept = real.tokenised["tokenizer"]
    assert hashlib.sha256(kept.encode()).hexdigest() == TOKENIZER
    assert hashlib.sha256(real.stream).hexdigest() == STREAM
    assert (real.n_tokens, real.n_english, int(real.dead.sum())) == (4094, 2048, 2048)
    assert real.unigram_entropy == pytest.approx(6.620845139894181)
    special = np.zeros(real.n_tokens, bool)
    special[0] = True
    rows = {row["script"]: row for row in corpora.census(real.texts, real.counts, special)}
    assert rows["Thai"]["live"] == 0 and rows["Thai"]["dead"] == 2037 and rows["Latin"]["dead"] == 1
