"""The training loop of Goldilocks against the plain recipe, a Hugging Face Trainer, and matrix products alone.

All take the same 1,024 tokens a step from the same made-up text (Zipf's frequencies, 2,048 live tokens of 4,000), in
bfloat16, weights and AdamW's moments too, on two threads. They run in turn, several rounds; a way's time is its best
round's, and the table keeps all. The matrix products are those of one step, each timed alone in the layout that suits
it best, the fastest of many tries.

    python -m benchmarks.training --steps 5 --rounds 1      a try
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from compute.goldilocks.settings import GOLDILOCKS, Settings
from compute.goldilocks.training import train

THREADS, N_TOKENS, LIVE, LENGTH = 2, 4_000, 2_048, 1_000_000


def text() -> tuple[np.ndarray, np.ndarray]:
    """Token ids (T,) uint16 and the mask of dead tokens (V,)."""
    weights = 1 / np.arange(1, LIVE + 1)
    stream = np.random.default_rng(42).choice(LIVE, LENGTH, p=weights / weights.sum()).astype(np.uint16)
    return stream, np.bincount(stream, minlength=N_TOKENS) == 0


class Windows(Dataset):
    """Windows of context + 1 tokens at random places, one after another, as one writes it."""

    def __init__(self, stream: np.ndarray, settings: Settings, n_windows: int, names: bool):
        self.stream, self.context, self.names = torch.from_numpy(stream.astype(np.int64)), settings.context, names
        starts = np.random.default_rng(settings.seed).integers(0, len(stream) - self.context, n_windows)
        self.starts = starts.tolist()

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, place: int):
        start = self.starts[place]
        window = self.stream[start : start + self.context + 1]
        return {"input_ids": window[:-1], "labels": window[:-1]} if self.names else (window[:-1], window[1:])


class Plain(torch.nn.Module):
    """The published recipe from torch's own layers, returning logits."""

    def __init__(self, s: Settings, n_tokens: int):
        super().__init__()
        self.embedding = torch.nn.Embedding(n_tokens, s.width)
        self.positions = torch.nn.Embedding(s.context, s.width)
        self.layers = torch.nn.ModuleList(
            torch.nn.TransformerEncoderLayer(s.width, s.heads, s.feed_forward, 0.0, "gelu", 1e-5, True, True)
            for _ in range(s.layers)
        )
        self.norm = torch.nn.LayerNorm(s.width)
        self.head = torch.nn.Linear(s.width, n_tokens, bias=False)
        self.head.weight = self.embedding.weight
        torch.nn.init.normal_(self.embedding.weight, 0, s.init_std)

    def forward(self, inputs):
        places = torch.arange(inputs.shape[1])
        x = self.embedding(inputs) + self.positions(places)  # (batch, context, D)
        mask = torch.nn.Transformer.generate_square_subsequent_mask(inputs.shape[1], dtype=x.dtype)
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=True)
        return self.head(self.norm(x))


def seconds_ours(settings: Settings, stream: np.ndarray, dead: np.ndarray, steps: int) -> float:
    """Seconds a step of our loop, without observers; the checkpoint at the end is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        return 1 / train(replace(settings, steps=steps), stream, dead, Path(folder)).steps_per_second


def seconds_plain(settings: Settings, stream: np.ndarray, steps: int) -> float:
    """Seconds a step of the published recipe, written plainly."""
    torch.manual_seed(settings.seed)
    model = Plain(settings, N_TOKENS).to(torch.bfloat16)
    s = settings
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=s.learning_rate, betas=(s.beta1, s.beta2), eps=s.eps, weight_decay=s.weight_decay
    )
    loader = DataLoader(Windows(stream, settings, steps * settings.batch, False), batch_size=settings.batch)
    start = time.perf_counter()
    for inputs, targets in loader:
        loss = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # ours looks at each loss, too
    return (time.perf_counter() - start) / steps


def seconds_trainer(settings: Settings, stream: np.ndarray, steps: int) -> float:
    """Seconds a step of transformers.Trainer on a GPT-2 of the same size; logging, saving and reporting are off."""
    from transformers import GPT2Config, GPT2LMHeadModel, PrinterCallback, Trainer, TrainingArguments
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()
    s = settings
    shape = GPT2Config(
        vocab_size=N_TOKENS, n_positions=s.context, n_embd=s.width, n_layer=s.layers, n_head=s.heads,
        n_inner=s.feed_forward, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, activation_function="gelu",
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(s.seed)
    model = GPT2LMHeadModel(shape).to(torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=s.batch, max_steps=steps, learning_rate=s.learning_rate,
            weight_decay=s.weight_decay, lr_scheduler_type="constant", max_grad_norm=0.0, seed=s.seed, use_cpu=True,
            logging_strategy="no", save_strategy="no", report_to="none", disable_tqdm=True, optim="adamw_torch",
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=Windows(stream, s, steps * s.batch, True))
        trainer.remove_callback(PrinterCallback)
        start = time.perf_counter()
        trainer.train()
        return (time.perf_counter() - start) / steps


def products(settings: Settings) -> list[tuple[int, int, int, int, int]]:
    """The matrix products of one step: (how many, batch, m, k, n), of (m, k) times (k, n)."""
    s, n = settings, settings.batch * settings.context
    padded, depth, blocks = N_TOKENS + -N_TOKENS % 64, s.width // s.heads, s.batch * s.heads
    found = [(1, 1, n, s.width, padded), (1, 1, n, padded, s.width), (1, 1, padded, n, s.width)]
    maps = ((3 * s.width, s.width), (s.width, s.width), (s.feed_forward, s.width), (s.width, s.feed_forward))
    for wide, deep in maps:
        found += [(s.layers, 1, n, deep, wide), (s.layers, 1, n, wide, deep), (s.layers, 1, wide, n, deep)]
    found += [(2 * s.layers, blocks, s.context, depth, s.context), (4 * s.layers, blocks, s.context, s.context, depth)]
    return found


def seconds_products(settings: Settings, repeats: int = 20) -> float:
    """Seconds of the matrix products of one step, each the fastest of its layouts and of `repeats` tries."""
    total = 0.0
    for count, batch, m, k, n in products(settings):
        left, right = torch.randn(batch, m, k).bfloat16(), torch.randn(batch, k, n).bfloat16()
        turned = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (left, right)]
        out = torch.empty(batch, m, n, dtype=torch.bfloat16)
        times = []
        for a in (left, turned[0]):
            for b in (right, turned[1]):
                for _ in range(repeats):
                    start = time.perf_counter()
                    torch.mm(a[0], b[0], out=out[0]) if batch == 1 else torch.bmm(a, b, out=out)
                    times.append(time.perf_counter() - start)
        total += count * min(times)
    return total


def measure(steps: int, rounds: int) -> list[dict[str, float]]:
    """Seconds a step by way, round by round, taken in turn after one short round that only warms up."""
    settings, (stream, dead) = replace(GOLDILOCKS, threads=THREADS), text()
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        ways = {
            "ours": lambda steps: seconds_ours(settings, stream, dead, steps),
            "plain": lambda steps: seconds_plain(settings, stream, steps),
            "trainer": lambda steps: seconds_trainer(settings, stream, steps),
            "products": lambda steps: seconds_products(settings),
        }
        for way in ways.values():
            way(2)
        return [{name: way(steps) for name, way in ways.items()} for _ in range(rounds)]
    finally:
        torch.set_num_threads(before)


def main(steps: int = 100, rounds: int = 6) -> list[dict]:
    """Measures; returns one row a peer, one for the products, one for the length of a whole run."""
    rounds_of = measure(steps, rounds)
    taken = {name: min(one[name] for one in rounds_of) for name in rounds_of[0]}
    ours = "Goldilocks, pure bfloat16, two threads: steps per second"
    minutes = GOLDILOCKS.steps * taken["ours"] / 60
    spent = {f"{name}_milliseconds": [round(1e3 * one[name], 1) for one in rounds_of] for name in taken}
    return [
        {"name": "training-plain", "what": f"{ours} over those of nn.TransformerEncoderLayer, DataLoader and AdamW",
         "ratio": taken["plain"] / taken["ours"], "sense": "over", "target": 1.8, **spent},
        {"name": "training-trainer", "what": f"{ours} over those of a Hugging Face Trainer on a GPT-2 of its size",
         "ratio": taken["trainer"] / taken["ours"], "sense": "over", "target": 2},
        {"name": "training-products", "what": f"{ours} over those that its matrix products alone would allow",
         "ratio": taken["products"] / taken["ours"], "sense": "over", "target": 0.5},
        {"name": "training-minutes", "what": f"{GOLDILOCKS.steps:,} steps of Goldilocks, two threads, minutes",
         "ratio": minutes, "sense": "under", "target": 10},
    ]  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    print(json.dumps(main(given.steps, given.rounds), indent=1))
