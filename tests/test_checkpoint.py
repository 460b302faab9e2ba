"""Which tensor is the unembedding, and what an index or a config cannot make us do."""

import json

import pytest
from golden.handmade import HEAD, INPUT, bits, folder

from compute.models import checkpoint
from compute.models.weights import open_path

CHOICES = {
    "untied": ({"tie_word_embeddings": False}, [INPUT, HEAD], HEAD),
    "tied": ({"tie_word_embeddings": True}, [INPUT], INPUT),
    "tied, both stored": ({"tie_word_embeddings": True}, [HEAD, INPUT], INPUT),
    "tied, only the head stored": ({"tie_word_embeddings": True}, [HEAD], HEAD),
    "silent, both stored": ({}, [INPUT, HEAD], HEAD),
    "silent": ({}, ["wte.weight", "h.0.attn.weight"], "wte.weight"),
    "null": ({"tie_word_embeddings": None}, ["transformer.wte.weight"], "transformer.wte.weight"),
    "multimodal, tied inside": (
        {"tie_word_embeddings": False, "text_config": {"tie_word_embeddings": True}},
        ["model.visual.patch_embed.weight", "model.language_model.embed_tokens.weight", HEAD],
        "model.language_model.embed_tokens.weight",
    ),
    "multimodal, tied outside": (
        {"tie_word_embeddings": True, "text_config": {}},
        ["language_model.model.embed_tokens.weight"],
        "language_model.model.embed_tokens.weight",
    ),
    "multimodal, untied": (
        {"text_config": {"tie_word_embeddings": False}},
        ["language_model.model.embed_tokens.weight", "language_model.lm_head.weight"],
        "language_model.lm_head.weight",
    ),
    "omni": (
        {"thinker_config": {"text_config": {"tie_word_embeddings": False}}},
        ["thinker.model.embed_tokens.weight", "talker.model.embed_tokens.weight", "thinker.lm_head.weight"],
        "thinker.lm_head.weight",
    ),
    "GPT-NeoX": ({"tie_word_embeddings": False}, ["gpt_neox.embed_in.weight", "embed_out.weight"], "embed_out.weight"),
    "BLOOM": ({}, ["word_embeddings.weight", "h.0.mlp.weight"], "word_embeddings.weight"),
    "Mamba": ({}, ["backbone.embeddings.weight"], "backbone.embeddings.weight"),
    "OPT": ({}, ["model.decoder.embed_tokens.weight"], "model.decoder.embed_tokens.weight"),
    "InternLM": ({}, ["model.tok_embeddings.weight", "output.weight"], "output.weight"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHOICES)
def test_the_unembedding_is_found(what):
    config, names, expected = CHOICES[what]
    assert checkpoint.choose(config, {name: f"of {name}" for name in names}) == (expected, f"of {expected}")


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, ["bert.embeddings.word_embeddings.weight", "bert.pooler.dense.weight"]),
        ({}, ["embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.weight"]),
        ({"tie_word_embeddings": True}, ["encoder.embed_tokens.weight"]),
        ({"tie_word_embeddings": False}, [INPUT]),
        ({}, []),
    ],
)
def test_a_model_without_an_output_matrix_is_a_clear_error(config, names):
    with pytest.raises(ValueError, match=r"no output matrix.*path/to/file.safetensors#tensor.name"):
        checkpoint.choose(config, dict.fromkeys(names, "x"))


def test_tied_must_be_true_or_false():
    with pytest.raises(ValueError, match="true or false"):
        checkpoint.choose({"tie_word_embeddings": "yes"}, {HEAD: "x"})


@pytest.mark.parametrize(
    "shard", ["../a.safetensors", "/etc/a.safetensors", "a/b.safetensors", "..", "", "a\\b.safetensors",
              "C:a.safetensors", "a\0.safetensors", "a.bin", "pytorch_model.bin", None, 3, ["a"]]
)  # fmt: skip
def test_a_shard_cannot_lead_out_of_its_folder(shard, tmp_path):
    path = folder(tmp_path / "model", {}, {"one.safetensors": {HEAD: bits(3, 2)}})
    (path / checkpoint.INDEX).write_text(json.dumps({"weight_map": {HEAD: shard}}))
    with pytest.raises(ValueError, match="the index names a shard"):
        open_path(path)


@pytest.mark.parametrize("index", ["{}", '{"weight_map": {}}', '{"weight_map": [1]}', "[", '{"a": 1, "a": 2}'])
def test_an_index_that_lies(index, tmp_path):
    path = folder(tmp_path / "model", {}, {"one.safetensors": {HEAD: bits(3, 2)}})
    (path / checkpoint.INDEX).write_text(index)
    with pytest.raises(ValueError, match="index"):
        open_path(path)


@pytest.mark.parametrize("config", ["[]", "", "\0", '{"a":' * 9_999, '{"tie_word_embeddings": 1}'])
def test_a_config_that_lies(config, tmp_path):
    path = folder(tmp_path / "model", {}, {checkpoint.SINGLE: {HEAD: bits(3, 2)}})
    (path / "config.json").write_text(config)
    with pytest.raises(ValueError, match="config.json"):
        open_path(path)
