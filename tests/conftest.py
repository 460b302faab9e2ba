"""What the tests share: a cache of their own, the default model, small planted models, copies of the book."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# The same examples every time, and no folder of past ones in the tree; slow machines are no failure.
hypothesis.settings.register_profile("azimuth", database=None, derandomize=True, deadline=None)
hypothesis.settings.load_profile("azimuth")

ROOT = Path(__file__).resolve().parent.parent

# What a hostile vocabulary may hold: markup of every layer that a token passes on its way to a reader.
HOSTILE = [
    "<script>window.pwned=1</script>",
    "</title><img src=x onerror=window.pwned=1>",
    "</script><script>window.pwned=1</script>",
    '" onmouseover="window.pwned=1',
    "'><svg onload=window.pwned=1>",
    "&lt;b&gt;&amp;",
    "\u202egnirts desrever",
    "\u2066isolate\u2069 \u200b zero \ufeff width",
    "\x00\x07\x1b[31mred\x1b[0m\x7f",
    "\ufffd\ufffe",
    "$\\frac{x^2}{y}$ \\(z\\) \\[w\\]",
    "**bold** `code` [link](javascript:window.pwned=1) {math}`x` ![i](x)",
    "{{ macro }} {% raw %} ${js} <%= erb %>",
    "%{x} %{text}<extra></extra><br>",
    "line\nbreak\r\n\ttab\u2028separator",
    "e" + "\u0301" * 60,
    "w" * 4000,
    " ",
    "",
    "ตัวอย่าง日本語🙂‍↔️",
]


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory):
    """Every test writes its results below a temporary folder; fetched models stay where they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZIMUTH_CACHE", str(tmp_path_factory.mktemp("cache")))
        for variable in ("AZIMUTH_MODEL", "AZIMUTH_CORPUS", "AZIMUTH_CORPUS_UNSEEN", "AZIMUTH_SCHEDULER"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def smollm2():
    """The default model, opened; the test is skipped with a reason where it has not been fetched."""
    from compute.models.weights import open_model

    try:
        return open_model("smollm2")
    except FileNotFoundError as missing:
        pytest.skip(f"the default model is not here: {missing}")


def plant_model(folder: Path, texts: list[str], dim: int = 12, seed: int = 42) -> Path:
    """A bfloat16 model folder with the given tokens and made-up weights, three of them a black hole.

    The safetensors file is written by hand, byte by byte, so that no library stands between test and reader.
    """
    folder.mkdir(parents=True)
    gamma = np.random.default_rng(seed).normal(0, 0.5, (len(texts), dim)).astype(np.float32)  # (N, D)
    gamma[-3:] = gamma[-1]
    stored = (gamma.view(np.uint32) >> 16).astype("<u2").tobytes()
    spec = {"lm_head.weight": {"dtype": "BF16", "shape": list(gamma.shape), "data_offsets": [0, len(stored)]}}
    header = json.dumps(spec).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + stored)
    (folder / "config.json").write_text(json.dumps({"tie_word_embeddings": False, "vocab_size": len(texts)}))
    vocabulary = {"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": []}
    vocabulary["added_tokens"] = [
        {"id": i, "content": text, "special": False, "normalized": False} for i, text in enumerate(texts)
    ]
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return folder


class Book:
    """A copy of the book in a folder of its own, to be built and edited as its author would."""

    def __init__(self, folder: Path, model: str):
        names = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, check=True,
        ).stdout.decode()  # fmt: skip
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.folder, self.site = folder, folder / "_build" / "html"
        self.environment = os.environ | {
            "AZIMUTH_MODEL": model,
            "AZIMUTH_MODELS": str(ROOT / "data" / "models"),
            "PYTHONPATH": str(folder),
        }

    def build(self, *words: str, code: int | None = 0) -> str:
        """Run `jupyter-book build .` and return what it printed; `code` is the exit code it must have."""
        ran = subprocess.run(
            [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", *words],
            cwd=self.folder, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        printed = ran.stdout + ran.stderr
        assert code is None or ran.returncode == code, printed[-4000:]
        return printed

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace one passage of one file, which must be there."""
        text = (self.folder / name).read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        (self.folder / name).write_text(text.replace(old, new), "utf-8")


@pytest.fixture(scope="session")
def hostile_model(tmp_path_factory) -> Path:
    """A small model whose vocabulary is out to break pages."""
    ordinary = [f"word{i}" for i in range(60)]
    return plant_model(tmp_path_factory.mktemp("hostile") / "hostile", HOSTILE + ordinary)


@pytest.fixture(scope="session")
def planted_model(tmp_path_factory) -> Path:
    """A small model with a harmless vocabulary."""
    return plant_model(tmp_path_factory.mktemp("planted") / "planted", [f"word{i}" for i in range(80)])


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; the tests are skipped without one, and fail instead where AZIMUTH_REQUIRE_BROWSER is set."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        message = "no Chromium on the PATH (chromium, chromium-browser, google-chrome): install one to run this"
        if os.environ.get("AZIMUTH_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        flags = [
            "--no-sandbox",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
        ]
        opened = playwright.chromium.launch(executable_path=found, args=flags)
        yield opened
        opened.close()
