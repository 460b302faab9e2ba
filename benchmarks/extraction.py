"""Measures extraction of the unembedding against transformers' two ways, at the shapes of Qwen3-4B-Instruct-2507.

The checkpoint is synthetic: the real one's tensors, names, shards and bfloat16 storage, with random numbers in them. It
serves this benchmark only. Each way runs in a process of its own, in turn, the files warm in the page cache as far as
memory allows; the clock starts behind the imports and stops when every byte of the matrix has been read once. Memory is
the peak of the resident set of that whole process, imports and the mapped pages of the file included.

    python -m benchmarks.extraction --layers 2      a try; the ratios only mean what they say with all 36 layers
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

LAYERS = 36
VOCABULARY, WIDTH, FEED_FORWARD, HEADS, KEY_HEADS, HEAD_WIDTH = 151_936, 2_560, 9_728, 32, 8, 128
SHARD_BYTES = 4_000_000_000  # as the published shards are cut: 3.96 GB, 3.99 GB and the rest
WAYS = ("ours", "bfloat16", "float32")
ROUNDS = 3
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16",
    "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": FEED_FORWARD, "head_dim": HEAD_WIDTH,
    "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-6,
    "max_position_embeddings": 262_144, "rope_theta": 5_000_000, "attention_bias": False, "tie_word_embeddings": True,
}  # fmt: skip


def tensors(layers: int) -> Iterator[tuple[str, list[int]]]:
    """Yields the name and the shape of every tensor of the checkpoint, in its order."""
    queries, keys = HEADS * HEAD_WIDTH, KEY_HEADS * HEAD_WIDTH
    yield "model.embed_tokens.weight", [VOCABULARY, WIDTH]
    for layer in range(layers):
        for name, shape in (
            ("input_layernorm", [WIDTH]),
            ("mlp.down_proj", [WIDTH, FEED_FORWARD]),
            ("mlp.gate_proj", [FEED_FORWARD, WIDTH]),
            ("mlp.up_proj", [FEED_FORWARD, WIDTH]),
            ("post_attention_layernorm", [WIDTH]),
            ("self_attn.k_norm", [HEAD_WIDTH]),
            ("self_attn.k_proj", [keys, WIDTH]),
            ("self_attn.o_proj", [WIDTH, queries]),
            ("self_attn.q_norm", [HEAD_WIDTH]),
            ("self_attn.q_proj", [queries, WIDTH]),
            ("self_attn.v_proj", [keys, WIDTH]),
        ):
            yield f"model.layers.{layer}.{name}.weight", shape
    yield "model.norm.weight", [WIDTH]


def make_checkpoint(folder: Path, layers: int) -> int:
    """Writes the synthetic checkpoint; returns its bytes."""
    numbers = np.random.default_rng(42).standard_normal(1 << 24, dtype=np.float32) * 0.02
    chunk = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()  # 32 MB, written over and over
    shards: list[list[tuple[str, list[int], int]]] = [[]]
    for name, shape in tensors(layers):
        length = 2 * int(np.prod(shape))
        if sum(entry[2] for entry in shards[-1]) + length > SHARD_BYTES:
            shards.append([])
        shards[-1].append((name, shape, length))
    total = sum(length for shard in shards for _, _, length in shard)
    if psutil.disk_usage(str(folder)).free < 1.1 * total:
        raise OSError(f"{total / 1e9:.1f} GB are needed in {folder}; set TMPDIR to a place with room")
    index = {}
    for number, shard in enumerate(shards, 1):
        file_name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        header, end = {"__metadata__": {"format": "pt"}}, 0
        for name, shape, length in shard:
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + length]}
            index[name], end = file_name, end + length
        raw = json.dumps(header).encode()
        raw += b" " * (-len(raw) % 8)
        with (folder / file_name).open("wb") as file:
            file.write(len(raw).to_bytes(8, "little") + raw)
            for start in range(0, end, len(chunk)):
                file.write(chunk[: end - start])
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    )
    (folder / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": layers}))
    return total


def read_through(matrix: np.ndarray) -> int:
    """Returns the exclusive or of all bytes, as 64-bit words: every byte is read, and equal matrices agree."""
    return int(np.bitwise_xor.reduce(matrix.reshape(-1).view(np.uint64)))


def measure(way: str, folder: Path) -> dict:
    """Extracts the matrix in one way, in this process; returns its seconds, peak bytes, shape and checksum."""
    if way == "ours":
        import ml_dtypes

        from compute.models.weights import open_path

        begin = time.perf_counter()
        matrix = open_path(folder).catalogue.stored().view(ml_dtypes.bfloat16)
        checksum = read_through(matrix)
    else:
        import torch
        from transformers import AutoModelForCausalLM

        begin = time.perf_counter()
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, way))
        matrix = model.lm_head.weight.detach()
        checksum = read_through(matrix.view(torch.int16).numpy())
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "bytes": peak_bytes(), "shape": list(matrix.shape), "checksum": checksum}


def peak_bytes() -> int:
    """Returns the peak of this process's resident set, mapped file pages included (Linux: VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("no VmHWM in /proc/self/status: the peak of memory is measured on Linux only")


def in_own_process(way: str, folder: Path) -> dict:
    """Warms the page cache, then measures one way in a new process."""
    for shard in sorted(folder.glob("*.safetensors")):
        with shard.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
    words = [sys.executable, "-m", "benchmarks.extraction", "--way", way, "--folder", str(folder)]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if ran.returncode:
        raise RuntimeError(f"extraction by way of {way} failed:\n{ran.stderr[-4000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def compare(layers: int, rounds: int) -> dict:
    """Returns median seconds and peak bytes of each way, measured in turn on one checkpoint."""
    with tempfile.TemporaryDirectory(prefix="azimuth-extraction-") as name:
        folder = Path(name)
        total = make_checkpoint(folder, layers)
        available = psutil.virtual_memory().available
        if available < 2.1 * total + 1e9:
            raise MemoryError(
                f"float32 needs about {(2.1 * total + 1e9) / 1e9:.0f} GB of memory, {available / 1e9:.0f} GB are free: "
                "close what else is running, or try with --layers 2"
            )
        runs: dict[str, list[dict]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                runs[way].append(in_own_process(way, folder))
    checksums = {run["checksum"] for way in ("ours", "bfloat16") for run in runs[way]}
    shapes = {tuple(run["shape"]) for way in WAYS for run in runs[way]}
    if len(checksums) != 1 or shapes != {(VOCABULARY, WIDTH)}:
        raise RuntimeError(f"the ways do not give the same matrix: {shapes}, checksums {checksums}")
    return {
        "layers": layers,
        "checkpoint_bytes": total,
        "seconds": {way: statistics.median(run["seconds"] for run in runs[way]) for way in WAYS},
        "peak_bytes": {way: max(run["bytes"] for run in runs[way]) for way in WAYS},
    }


def rows(found: dict) -> list[dict]:
    """Returns the three ratios of a comparison as rows of the table of benchmarks."""
    seconds, peak = found["seconds"], found["peak_bytes"]
    asked = [
        ("time-float32", "times faster than transformers in float32", seconds["float32"] / seconds["ours"], 20),
        ("memory-float32", "times less peak memory than in float32", peak["float32"] / peak["ours"], 8),
        ("time-bfloat16", "times faster than transformers in bfloat16", seconds["bfloat16"] / seconds["ours"], 3),
    ]
    what = "extraction to a bf16 matrix at Qwen3-4B's shapes"
    return [
        {"name": f"extraction-{name}", "what": f"{what}: {ratio}", "ratio": value, "sense": "over", "target": target}
        for name, ratio, value, target in asked
    ]


def main(layers: int = LAYERS, rounds: int = ROUNDS) -> list[dict]:
    """Returns the rows of the full comparison: 8 GB of disk, 18 GB of memory, some minutes."""
    found = compare(layers, rounds)
    print(json.dumps({"name": "extraction"} | found), file=sys.stderr)
    return rows(found)


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m benchmarks.extraction", description=__doc__.splitlines()[0])
    options.add_argument("--layers", type=int, default=LAYERS, help=f"of the synthetic model (default: {LAYERS})")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--way", choices=WAYS, help="measure this way only, in this process, on --folder")
    options.add_argument("--folder", type=Path, help="a checkpoint to measure --way on")
    asked = options.parse_args()
    if asked.way:
        print(json.dumps(measure(asked.way, asked.folder)))
    else:
        found = compare(asked.layers, asked.rounds)
        ratios = {f"ratio-{row['name'][11:]}": row["ratio"] for row in rows(found)}
        targets = {f"target-{row['name'][11:]}": row["target"] for row in rows(found)}
        print(json.dumps({"name": "extraction"} | ratios | targets | found, indent=1))
