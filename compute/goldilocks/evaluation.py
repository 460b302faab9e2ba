"""How well a trained Goldilocks predicts text that it has not seen. Chapter: Goldilocks."""

import numpy as np
import torch

from compute.goldilocks.settings import Settings
from compute.goldilocks.transformer import Transformer


def loss_on(settings: Settings, weights: dict[str, torch.Tensor], tokens: np.ndarray, batches: int) -> float:
    """The mean loss on a text, nats per token, in windows that follow each other without overlap.

    weights: as `training.Trained` has them; tokens: (T,) ids. The first `batches` steps' worth of windows are used, or
    as many as the text fills; of a text too short for one batch, as many windows as there are. Raises ValueError where
    there is none.
    """
    span = settings.context + 1
    found = np.asarray(tokens[: len(tokens) // span * span], dtype=np.int64).reshape(-1, span)  # (windows, context + 1)
    if not len(found):
        raise ValueError(f"a text of {len(tokens):,} tokens; a window needs {span}: take a longer text")
    size = min(settings.batch, len(found))
    found = found[: min(batches, len(found) // size) * size]
    matrix = weights["embedding"]
    flat = torch.cat([weight.reshape(-1) for weight in weights.values()])
    fitting = Settings(**{**settings.__dict__, "batch": size})
    model = Transformer(fitting, len(matrix), flat)
    losses = [model.step(torch.from_numpy(windows)).loss for windows in np.split(found, len(found) // size)]
    return float(np.mean(losses))
