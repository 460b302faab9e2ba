"""What one thread does of a pass: its windows through the layers, through the head, and their slopes back.

What goes row by row is here; what sums over the batch, the slopes of the weights, is in
`compute.goldilocks.transformer`. Buffers, and views of them, are made once. Chapter: Goldilocks.
"""

import math
from types import SimpleNamespace

import torch

from compute.goldilocks.settings import LAYER_NORM_EPS

CHUNK_BYTES = 2 << 20  # of logits at a time: about what the second-level cache of a core holds

aten = torch.ops.aten


class Layer:
    """One decoder layer over one thread's rows.

    kept: those rows of the model's buffers of this layer; weight: the layer's parameters; scratch: `scratch_of`.
    """

    def __init__(self, settings, kept: SimpleNamespace, weight: dict[str, torch.Tensor], mask, scratch):
        self.kept, self.weight, self.mask, self.scratch = kept, weight, mask, scratch
        self.turned = {name: matrix.t() for name, matrix in weight.items() if matrix.ndim == 2}
        self.scale = (settings.width // settings.heads) ** -0.5
        n_windows = len(kept.x) // settings.context
        apart = (n_windows, settings.heads, settings.context, settings.width // settings.heads)
        heads = (n_windows * settings.heads, *apart[2:])  # (windows heads, context, D / heads)
        self.qkv = kept.x.new_empty(3, *heads)
        self.query, self.key, self.value = self.qkv
        self.p = kept.x.new_empty(*heads[:2], settings.context)
        self.bent = torch.empty_like(kept.active)
        # the same memory, seen as what is copied into it
        self.qkv_apart, self.at_qkv_apart = (x.view(3, *apart) for x in (self.qkv, scratch.at_qkv))
        self.joint_apart, self.at_joint_apart = (_apart(x, 3, apart) for x in (scratch.joint, kept.at_joint))
        self.mixed_apart, self.at_mixed_apart = (_apart(x, 1, apart)[0] for x in (kept.mixed, scratch.at_mixed))
        self.heads_apart = scratch.heads.view(apart)

    def forward(self) -> None:
        """From kept.x to kept.out, both (N, D)."""
        kept, weight, turned, scratch, p = self.kept, self.weight, self.turned, self.scratch, self.p
        norm(kept.x, weight["norm1.weight"], weight["norm1.bias"], kept.normed1, kept.mean1, kept.scale1)
        torch.addmm(weight["in.bias"], kept.normed1, turned["in.weight"], out=scratch.joint)  # (N, 3 D)
        self.qkv_apart.copy_(self.joint_apart)
        torch.bmm(self.query, self.key.transpose(1, 2), out=p)  # (windows heads, context, context)
        p.mul_(self.scale).add_(self.mask)
        torch._softmax(p, 2, False, out=p)
        torch.bmm(p, self.value, out=scratch.heads)
        self.mixed_apart.copy_(self.heads_apart)
        torch.addmm(weight["out.bias"], kept.mixed, turned["out.weight"], out=kept.middle).add_(kept.x)
        norm(kept.middle, weight["norm2.weight"], weight["norm2.bias"], kept.normed2, kept.mean2, kept.scale2)
        torch.addmm(weight["linear1.bias"], kept.normed2, turned["linear1.weight"], out=self.bent)
        aten.gelu.out(self.bent, out=kept.active)  # (N, feed_forward)
        torch.addmm(weight["linear2.bias"], kept.active, turned["linear2.weight"], out=kept.out).add_(kept.middle)

    def back(self) -> None:
        """From kept.at_out to kept.at_x, the slopes of the loss at out and x, (N, D) each."""
        kept, weight, scratch, p = self.kept, self.weight, self.scratch, self.p
        torch.mm(kept.at_out, weight["linear2.weight"], out=kept.at_bent)
        aten.gelu_backward.grad_input(kept.at_bent, self.bent, grad_input=kept.at_bent)
        torch.mm(kept.at_bent, weight["linear1.weight"], out=kept.at_normed2)
        inner = norm_back(kept.at_normed2, kept.middle, kept.mean2, kept.scale2, weight["norm2.weight"])
        torch.add(inner, kept.at_out, out=kept.at_middle)
        torch.mm(kept.at_middle, weight["out.weight"], out=scratch.at_mixed)
        self.heads_apart.copy_(self.at_mixed_apart)
        at_query, at_key, at_value = scratch.at_qkv
        torch.bmm(p.transpose(1, 2), scratch.heads, out=at_value)
        torch.bmm(scratch.heads, self.value.transpose(1, 2), out=scratch.at_p)
        inner = aten._softmax_backward_data(scratch.at_p, p, 2, p.dtype).mul_(self.scale)
        torch.bmm(inner, self.key, out=at_query)
        torch.bmm(inner.transpose(1, 2), self.query, out=at_key)
        self.at_joint_apart.copy_(self.at_qkv_apart)
        torch.mm(kept.at_joint, weight["in.weight"], out=kept.at_normed1)
        inner = norm_back(kept.at_normed1, kept.x, kept.mean1, kept.scale1, weight["norm1.weight"])
        torch.add(inner, kept.at_middle, out=kept.at_x)


def _apart(rows: torch.Tensor, n: int, apart: tuple[int, ...]) -> torch.Tensor:
    """A view (n, windows, heads, context, D / heads) of rows (N, n D)."""
    n_windows, heads, context, depth = apart
    return rows.view(n_windows, context, n, heads, depth).permute(2, 0, 3, 1, 4)


def scratch_of(settings, like: torch.Tensor) -> SimpleNamespace:
    """What a layer needs only while it is passed, for rows like those of `like` (N, D); all layers share it."""
    n_rows, wide, depth = len(like), settings.width, settings.width // settings.heads
    heads = (n_rows // settings.context * settings.heads, settings.context)
    shapes = {"joint": (n_rows, 3 * wide), "heads": (*heads, depth)}
    shapes |= {"at_mixed": (n_rows, wide), "at_p": (*heads, settings.context), "at_qkv": (3, *heads, depth)}
    return SimpleNamespace(**{name: like.new_empty(shape) for name, shape in shapes.items()})


def norm(x, weight, bias, out, mean, scale) -> None:
    """Layer norm of rows x (N, D) into out; their mean and 1 / standard deviation into mean and scale, (N, 1)."""
    aten.native_layer_norm.out(x, weight.shape, weight, bias, LAYER_NORM_EPS, out0=out, out1=mean, out2=scale)


def norm_back(slope, x, mean, scale, weight) -> torch.Tensor:
    """The slope at x (N, D) from that at its layer norm; the bias does not matter to it."""
    wanted = [True, False, False]
    return aten.native_layer_norm_backward(slope, x, weight.shape, mean, scale, weight, None, wanted)[0]


class Share:
    """The windows first .. last - 1 of each batch: their rows of the model's buffers, and the pass over them."""

    def __init__(self, model, first: int, last: int):
        s = model.settings
        rows = slice(first * s.context, last * s.context)
        self.windows, self.end = slice(first, last), rows_of(model.end, rows)
        self.weight, self.matrix, self.turned = model.weight, model.matrix, model.matrix.t()
        self.n_tokens, self.n_positions = model.n_tokens, model.n_positions
        scratch = scratch_of(s, self.end.x)
        self.layers = [
            Layer(s, rows_of(kept, rows), weight, model.mask, scratch)
            for kept, weight in zip(model.kept, model.layer_weights, strict=True)
        ]
        step = max(16, CHUNK_BYTES // model.logits[0].nbytes // 16 * 16)  # rows
        starts = range(0, len(self.end.x), step)
        self.chunks = [(slice(at, at + step), rows_of(self.end, slice(at, at + step))) for at in starts]

    def forward(self, windows: torch.Tensor, dead: torch.Tensor | None) -> None:
        """From windows (batch, context + 1) to the hidden states, p - y and the slope at the hidden states.

        Leaves in `wanted` (N,) the probability of each target, and in `masses` that of all dead tokens, where asked.
        """
        inputs, targets = windows[self.windows, :-1], windows[self.windows, 1:].reshape(-1, 1)
        weight, end, x = self.weight, self.end, self.layers[0].kept.x
        torch.index_select(weight["embedding"], 0, inputs.reshape(-1), out=x)
        x.view(*inputs.shape, -1).add_(weight["positions"])
        for layer in self.layers:
            layer.forward()
        norm(end.x, weight["norm.weight"], weight["norm.bias"], end.hidden, end.mean, end.scale)
        torch.mul(end.hidden, 1 / self.n_positions, out=end.scaled)
        parts = [self._head(chunk, targets[rows], dead) for rows, chunk in self.chunks]
        wanted, masses = zip(*parts, strict=True)
        end.at_hidden.mul_(1 / self.n_positions)
        self.wanted, self.masses = torch.cat(wanted), None if dead is None else torch.cat(masses)

    def _head(self, chunk, target, dead):
        p = chunk.logits
        torch.mm(chunk.hidden, self.turned, out=p)  # (chunk, V')
        p[:, self.n_tokens :] = -math.inf
        torch._softmax(p, 1, False, out=p)
        wanted = p.gather(1, target)[:, 0]
        mass = None if dead is None else torch.mm(p, dead)[:, 0].float()
        p[torch.arange(len(target)), target[:, 0]] = wanted - 1  # p - y
        torch.mm(p, self.matrix, out=chunk.at_hidden)
        return wanted, mass

    def back(self) -> None:
        """From the slope at the hidden states to that at what the last layer gave."""
        end = self.end
        end.at_x.copy_(norm_back(end.at_hidden, end.x, end.mean, end.scale, self.weight["norm.weight"]))


def rows_of(buffers: SimpleNamespace, rows: slice) -> SimpleNamespace:
    """Return the same buffers' rows, as views."""
    return SimpleNamespace(**{name: buffer[rows] for name, buffer in vars(buffers).items()})
