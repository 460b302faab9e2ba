"""The registry of known inputs: every row complete, pinned, plainly named, and true where the tree can tell."""

import json
import re

import pytest

from compute import paths
from compute.models import inputs, sources

ROWS = list(inputs.registry().values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_complete_and_pinned(row):
    card = row.card()
    assert all(isinstance(value, str) and value.strip() == value != "" for value in card.values())
    assert {"title", "source", "origin", "revision", "hash", "licence", "reason"} == card.keys()
    if row.wheel:
        assert re.fullmatch(r"[a-z0-9-]+==\d+(\.\d+)+", row.wheel.requirement)
        for pinned in (row.wheel, *row.files):
            assert re.fullmatch(r"[0-9a-f]{64}", pinned.sha256) and pinned.bytes > 0
        names = [file.name for file in row.files]
        assert len(set(names)) == len(names) and all(re.fullmatch(r"[\w.-]+", name) for name in names)
        beside = {file.name for file in row.files[1:]} if row.kind == "model" else set()
        assert beside <= {"tokenizer.json"} and row.files[0].name not in beside
    else:
        assert re.fullmatch(r"[0-9a-f]{40}", row.revision)
        assert row.name == row.hub and sources.HUB_ID.fullmatch(row.hub)


def test_the_default_and_the_model_of_the_book_are_known():
    names = {row.name for row in ROWS if row.kind == "model"}
    assert {sources.DEFAULT, "Qwen/Qwen3-4B-Instruct-2507"} <= names


def test_the_published_counts_in_the_reasons_are_those_of_the_published_record():
    populations = json.loads((paths.published_folder() / "hole_populations.json").read_text())
    checked = 0
    for row in ROWS:
        if told := re.search(r"(\d+) published black holes", row.reason):
            assert int(told[1]) == len(populations[row.title])
            checked += 1
    assert checked == len(populations) == 3


def test_every_published_file_and_every_row_is_told_of_in_the_readme():
    readme = (paths.root() / "data" / "README.md").read_text("utf-8")
    files = [path.name for path in paths.published_folder().iterdir()]
    assert files
    for name in [*files, *(row.name for row in ROWS), *(file.name for row in ROWS for file in row.files)]:
        assert f"`{name}`" in readme, name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not toml", "registry.toml"),
        ("x = 1", "registry.toml"),
        ("[x]\nkind = 'model'", "missing"),
        ("[x]\nkind = 'model'\ncolour = 'blue'", "colour"),
        ("[x]\nkind='star'\ntitle=''\nlicence=''\nreason=''\norigin=''\nhub='a/b'\nrevision='c'", "'star'"),
        ("[x]\nkind='model'\ntitle=''\nlicence=''\nreason=''\norigin=''\nhub='a/b'", "with a revision"),
        ("[x]\nkind='model'\ntitle=''\nlicence=''\nreason=''\norigin=''\nwheel={requirement='a==1'}", "missing"),
    ],
)
def test_a_malformed_registry_is_a_clear_error(tmp_path, text, words):
    path = tmp_path / "registry.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        inputs.registry(path)
