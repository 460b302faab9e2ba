"""Checkpoints of a training run: one safetensors file, whole or not at all, that knows what it belongs to.

Chapter: Goldilocks.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from compute.integrity import write_whole

NAME = "checkpoint.safetensors"


def identity(settings: dict, stream: np.ndarray, dead: np.ndarray) -> dict:
    """Return what a checkpoint belongs to: every setting but the number of steps, and the text's fingerprints.

    The number of steps changes no arithmetic: a finished run may be continued by asking for more.
    """
    prints = {"stream": np.ascontiguousarray(stream), "dead tokens": np.ascontiguousarray(dead)}
    hashes = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in prints.items()}
    return {name: value for name, value in settings.items() if name != "steps"} | hashes


def save(folder: Path, step: int, belongs: dict, tensors: dict[str, torch.Tensor]) -> None:
    """Write the checkpoint of `folder`, replacing the one before in one rename."""
    text = {"step": str(step), "belongs": json.dumps(belongs), "torch": torch.__version__}
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_whole(folder / NAME, [safetensors.torch.save(whole, text)])


def load(folder: Path, belongs: dict) -> tuple[int, dict[str, torch.Tensor]] | None:
    """Return the step and the tensors of the checkpoint in `folder`, or None where there is none.

    Raises ValueError where it cannot be read, or belongs to another run, naming each field that differs.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        found, step = json.loads(text["belongs"]), int(text["step"])
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a checkpoint of a training run ({error}); delete it to start anew") from error
    if found != belongs:
        names = sorted(name for name in found.keys() | belongs.keys() if found.get(name) != belongs.get(name))
        told = "; ".join(f"{name}: {found.get(name)!r} there, {belongs.get(name)!r} asked for" for name in names)
        raise ValueError(f"{path} belongs to another run: {told}. Train into another folder, or delete it")
    return step, tensors
