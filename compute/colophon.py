"""What the book says about itself: machine, versions, model card, cache, benchmarks, each as columns of a table."""

import importlib.metadata
import json
import platform

import psutil

from compute.cache import audit
from compute.cache.origin import circumstances
from compute.contents import kept
from compute.models.weights import Model
from compute.paths import root

PACKAGES = (
    "numpy", "numba", "scipy", "torch", "matplotlib", "plotly", "safetensors", "gguf", "h5py", "ml_dtypes",
    "tokenizers", "jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme",
)  # fmt: skip


def machine() -> dict[str, list[str]]:
    """The machine that built this page: processor, cores and system, threads, memory in GB, Python."""
    here = circumstances()
    facts = {
        "machine": here["machine"],
        "threads": str(here["threads"]),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
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
    """The results of this book that are here: where they are kept, what they cost and when they were computed."""
    rows = [row for row in audit.status(kept(model)) if row["state"] in ("fresh", "shipped")]
    return {
        "result": [row["name"] for row in rows],
        "kept as": ["cache" if row["state"] == "fresh" else "shipped" for row in rows],
        "seconds": [row["seconds"] for row in rows],
        "computed": [row["date"] for row in rows],
        "key": [row["key"][:12] for row in rows],
    }


def measured() -> list[dict]:
    """What `make bench` measured last, a mapping a row."""
    return json.loads((root() / "data" / "benchmarks.json").read_text("utf-8"))


def growth() -> list[dict]:
    """Those of the rows measured that tell seconds at several sizes."""
    return [row for row in measured() if "sizes" in row]


def benchmarks() -> dict[str, list]:
    """The ratios that `make bench` measured last: what was asked, the ratio found, the one to reach."""
    rows = measured()
    return {
        "what": [row["what"] for row in rows],
        "measured": [row["ratio"] for row in rows],
        "to reach": [f"{row['sense']} {row['target']:g}" for row in rows],
        "reached": ["yes" if row["reached"] else "no" for row in rows],
        "on": [row["date"] for row in rows],
    }
