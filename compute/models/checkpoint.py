"""A Hugging Face folder: which of its tensors is the unembedding, and which of its files holds it."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from reprlib import repr as brief

from compute.models import safetensors_file, strict_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Where architectures keep a language model within a checkpoint, and what they call its two ends.
PREFIXES = (
    "", "model.", "transformer.", "language_model.", "language_model.model.", "model.language_model.",
    "model.text_model.", "model.decoder.", "decoder.", "gpt_neox.", "backbone.", "thinker.", "thinker.model.",
)  # fmt: skip
HEADS = ("lm_head.weight", "embed_out.weight", "output.weight", "output_layer.weight")
EMBEDDINGS = (
    "embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "tok_embeddings.weight",
    "embedding.word_embeddings.weight", "embeddings.weight",
)  # fmt: skip
NESTED = ("thinker_config", "text_config", "llm_config", "language_config")  # outermost first


def is_tied(config: Mapping) -> bool | None:
    """Returns what the config says of tie_word_embeddings, its innermost word; None if it says nothing."""
    said = config.get("tie_word_embeddings")
    for key in NESTED:
        if isinstance(config.get(key), dict):
            config = config[key]
            said = config.get("tie_word_embeddings", said)
    if said is not None and not isinstance(said, bool):
        raise ValueError(f"tie_word_embeddings is {brief(said)} in config.json; it can be true or false")
    return said


def choose(config: Mapping, names: Mapping[str, str]) -> tuple[str, str]:
    """Returns the unembedding's tensor name and its shard, out of `names` {tensor: shard}.

    It is the head (lm_head.weight) or, where the config ties the two, the input embedding; that also where
    a head is stored all the same (as in transformers 4; transformers 5 takes the stored head where the two
    differ). Where the config says nothing, a stored head wins, else the embedding: to transformers silence
    means tied. Raises ValueError where there is no output matrix.
    """
    head = _first(HEADS, names)
    embedding = _first(EMBEDDINGS, names)
    tied = is_tied(config)
    if tied:
        chosen = embedding or head
    else:
        chosen = head or (embedding if tied is None else None)
    if chosen is None:
        raise ValueError(
            "no output matrix: "
            + (f"{embedding} is there, but config.json says it is not tied; " if embedding else "")
            + "no tensor is named as an unembedding is (lm_head.weight, model.embed_tokens.weight, ...). "
            "An encoder has none; of an architecture not met before, name the tensor by hand: "
            "path/to/file.safetensors#tensor.name"
        )
    return chosen, names[chosen]


def _first(stems: tuple[str, ...], names: Mapping[str, str]) -> str | None:
    return next((p + stem for stem in stems for p in PREFIXES if p + stem in names), None)


def shard_name(name: object) -> str:
    """Returns the name of a shard; ValueError unless it is a plain name, which cannot leave its folder."""
    plain = isinstance(name, str) and name == PurePosixPath(name).name == PureWindowsPath(name).name
    if not plain or "\0" in name or not name.endswith(".safetensors"):
        raise ValueError(f"the index names a shard {brief(name)}; expected a plain name, *.safetensors")
    return name


def shards(index: Mapping) -> dict[str, str]:
    """Returns {tensor: shard} of a parsed model.safetensors.index.json; ValueError where it is malformed."""
    table = index.get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ValueError(f"no weight_map in {INDEX}: not the index of a sharded checkpoint")
    return {tensor: shard_name(shard) for tensor, shard in table.items()}


def folder_names(folder: Path) -> dict[str, str]:
    """Returns {tensor: shard} of a checkpoint's folder, from its index or its one file; no tensor is read."""
    if (folder / INDEX).is_file():
        return shards(strict_json.read(folder / INDEX))
    if (folder / SINGLE).is_file():
        return dict.fromkeys(safetensors_file.read_header(folder / SINGLE), SINGLE)
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
    raise FileNotFoundError(f"neither {SINGLE} nor {INDEX} in {folder}; it holds {there}")


def folder_config(folder: Path) -> dict:
    """Returns a checkpoint's config.json; FileNotFoundError where there is none, saying what is there."""
    path = folder / "config.json"
    if not path.is_file():
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
        raise FileNotFoundError(
            f"no config.json in {folder}, so it is no Hugging Face checkpoint; it holds {there}. "
            "A GGUF or safetensors file is opened by its own path"
        )
    return strict_json.read(path)
