"""What the book says about itself: machine, versions, model card, cache, benchmarks, each as columns of a table."""

import importlib.metadata
import json
import os
import platform
from pathlib import Path

import psutil

from compute.paths import root
from compute.results import calls
from compute.weights import Model

PACKAGES = (
    "numpy", "scipy", "matplotlib", "plotly", "safetensors", "gguf", "h5py", "ml_dtypes", "tokenizers",
    "jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme",
)  # fmt: skip


def machine() -> dict[str, list[str]]:
    """The machine that built this page: processor, cores, memory in GB, operating system, Python."""
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    return {"what": list(facts), "which": list(facts.values())}


def versions() -> dict[str, list[str]]:
    """The packages that matter to a number or to a page, with their versions."""
    return {"package": list(PACKAGES), "version": [importlib.metadata.version(name) for name in PACKAGES]}


def card(model: Model) -> dict[str, list[str]]:
    """What is known of the model: source, revision, hash, licence, and why it is the one."""
    gamma = model.catalogue
    facts = {
        "name": gamma.label,
        **{name.replace("_", " "): str(value) for name, value in model.card.items() if value},
        "tensor": gamma.tensor,
        "tokens": f"{gamma.n_tokens:,}",
        "dimensions": f"{gamma.dim:,}",
        "stored as": gamma.storage,
        "fingerprint": gamma.fingerprint,
        "texts from": model.vocabulary.source,
    }
    return {"what": list(facts), "which": list(facts.values())}


def cache(model: Model) -> dict[str, list]:
    """The results of this book on this model: their state, what they cost and when they were computed."""
    rows = [(name, call, call.provenance()) for name, call in calls(model)]
    return {
        "result": [name for name, _, _ in rows],
        "state": [call.state() for _, call, _ in rows],
        "seconds": [made.seconds if made else None for _, _, made in rows],
        "computed": [made.date if made else None for _, _, made in rows],
        "key": [call.key[:12] for _, call, _ in rows],
    }


def benchmarks() -> dict[str, list]:
    """The ratios that `make bench` measured last: what was asked, the ratio found, the one to reach."""
    rows = json.loads((root() / "data" / "benchmarks.json").read_text("utf-8"))
    return {
        "what": [row["what"] for row in rows],
        "measured": [row["ratio"] for row in rows],
        "to reach": [f"{row['sense']} {row['target']:g}" for row in rows],
        "reached": ["yes" if row["reached"] else "no" for row in rows],
        "on": [row["date"] for row in rows],
    }


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
