"""What one thread does of a pass: its windows through the layers, through the head, and their slopes back.

What goes row by row is here; what sums over the batch, the slopes of the weights, is in
`compute.goldilocks.transformer`. Buffers, and views of them, are made once. Chapter: Goldilocks.
"""

from types import SimpleNamespace

import torch

CHUNK_BYTES = 2 << 20  # of logits at a time: about what the second-level cache of a core holds

aten = torch.ops.aten


class Layer:
    """One decoder layer over one thread's rows.

    kept: those rows of the model's buffers of this layer; weight: the layer's parameters; scratch: `scratch_of`; past:
    what passes by whatever comes before the layer, and is added to kept.x here: rows (N, D), or the positions.
    """

    def __init__(self, settings, operations, kept: SimpleNamespace, weight: dict[str, torch.Tensor], scratch, past):
        self.kept, self.weight, self.scratch = kept, weight, scratch
        self.turned = {name: matrix.t() for name, matrix in weight.items() if matrix.ndim == 2}
        factor = (settings.width // settings.heads) ** -0.5
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
        # what lies between the products
        norms = {"norm1": (kept.x, kept.mean1, kept.scale1), "norm2": (kept.middle, kept.mean2, kept.scale2)}
        (x, *moments), (middle, *moments_too) = norms.values()
        gain, gain_too = weight["norm1.weight"], weight["norm2.weight"]
        self.norm1 = operations.norm(x, past, gain, weight["norm1.bias"], kept.normed1, *moments)
        self.norm2 = operations.norm(middle, x, gain_too, weight["norm2.bias"], kept.normed2, *moments_too)
        self.norm1_back = operations.norm_back(kept.at_normed1, x, *moments, gain, kept.at_middle, kept.at_x)
        slopes = kept.at_out, kept.at_middle
        self.norm2_back = operations.norm_back(kept.at_normed2, middle, *moments_too, gain_too, *slopes)
        self.attend = operations.attend(self.p, factor)
        self.attend_back = operations.attend_back(scratch.at_p, self.p, factor)
        self.gelu = operations.gelu(self.bent, kept.active)
        self.gelu_back = operations.gelu_back(kept.at_bent, self.bent)

    def forward(self) -> None:
        """From kept.x, without `past`, to kept.out, without what passes by it, kept.middle; all are (N, D)."""
        kept, weight, turned, scratch = self.kept, self.weight, self.turned, self.scratch
        self.norm1()
        torch.addmm(weight["in.bias"], kept.normed1, turned["in.weight"], out=scratch.joint)  # (N, 3 D)
        self.qkv_apart.copy_(self.joint_apart)
        torch.bmm(self.query, self.key.transpose(1, 2), out=self.p)  # (windows heads, context, context)
        self.attend()
        torch.bmm(self.p, self.value, out=scratch.heads)
        self.mixed_apart.copy_(self.heads_apart)
        torch.addmm(weight["out.bias"], kept.mixed, turned["out.weight"], out=kept.middle)
        self.norm2()
        torch.addmm(weight["linear1.bias"], kept.normed2, turned["linear1.weight"], out=self.bent)
        self.gelu()  # to kept.active (N, feed_forward)
        torch.addmm(weight["linear2.bias"], kept.active, turned["linear2.weight"], out=kept.out)

    def back(self) -> None:
        """From kept.at_out to kept.at_x, the slopes of the loss at out and x, (N, D) each."""
        kept, weight, scratch, p = self.kept, self.weight, self.scratch, self.p
        torch.mm(kept.at_out, weight["linear2.weight"], out=kept.at_bent)
        self.gelu_back()
        torch.mm(kept.at_bent, weight["linear1.weight"], out=kept.at_normed2)
        self.norm2_back()
        torch.mm(kept.at_middle, weight["out.weight"], out=scratch.at_mixed)
        self.heads_apart.copy_(self.at_mixed_apart)
        at_query, at_key, at_value = scratch.at_qkv
        torch.bmm(p.transpose(1, 2), scratch.heads, out=at_value)
        torch.bmm(scratch.heads, self.value.transpose(1, 2), out=scratch.at_p)
        self.attend_back()
        torch.bmm(scratch.at_p, self.key, out=at_query)
        torch.bmm(scratch.at_p.transpose(1, 2), self.query, out=at_key)
        self.at_joint_apart.copy_(self.at_qkv_apart)
        torch.mm(kept.at_joint, weight["in.weight"], out=kept.at_normed1)
        self.norm1_back()


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


class Share:
    """The windows first .. last - 1 of each batch: their rows of the model's buffers, and the pass over them."""

    def __init__(self, model, first: int, last: int):
        s, operations = model.settings, model.operations
        rows = slice(first * s.context, last * s.context)
        self.windows, self.end = slice(first, last), rows_of(model.end, rows)
        self.weight, self.matrix, self.turned = model.weight, model.matrix, model.matrix.t()
        self.n_positions = model.n_positions
        scratch = scratch_of(s, self.end.x)
        self.layers, past = [], model.weight["positions"]
        for kept, weight in zip(model.kept, model.layer_weights, strict=True):
            mine = rows_of(kept, rows)
            self.layers.append(Layer(s, operations, mine, weight, scratch, past))
            past = mine.middle
        end, gain = self.end, model.weight["norm.weight"]
        moments = end.mean, end.scale
        self.norm = operations.norm(end.x, past, gain, model.weight["norm.bias"], end.hidden, *moments)
        self.back = operations.norm_back(end.at_hidden, end.x, *moments, gain, None, end.at_x)
        step = max(16, CHUNK_BYTES // model.logits[0].nbytes // 16 * 16)  # rows
        self.chunks = []
        for at in range(0, len(end.x), step):
            chunk = rows_of(end, slice(at, at + step))
            predict = operations.predict(chunk.logits, model.n_tokens, chunk.wanted)
            self.chunks.append((slice(at, at + step), chunk, predict))

    def forward(self, windows: torch.Tensor, dead: torch.Tensor | None) -> None:
        """From windows (batch, context + 1) to the hidden states, p - y and the slope at the hidden states.

        Leaves in `end.wanted` the probability of each target, and in `end.mass` that of all dead tokens, where asked.
        """
        inputs, targets = windows[self.windows, :-1], windows[self.windows, 1:].reshape(-1)
        weight, end, x = self.weight, self.end, self.layers[0].kept.x
        torch.index_select(weight["embedding"], 0, inputs.reshape(-1), out=x)
        for layer in self.layers:
            layer.forward()
        self.norm()
        torch.mul(end.hidden, 1 / self.n_positions, out=end.scaled)
        for rows, chunk, predict in self.chunks:
            torch.mm(chunk.hidden, self.turned, out=chunk.logits)  # (chunk, V')
            predict(targets[rows])
            if dead is not None:
                torch.mm(chunk.logits, dead, out=chunk.mass)
            torch.mm(chunk.logits, self.matrix, out=chunk.at_hidden)
        end.at_hidden.mul_(1 / self.n_positions)


def rows_of(buffers: SimpleNamespace, rows: slice) -> SimpleNamespace:
    """Return the same buffers' rows, as views."""
    return SimpleNamespace(**{name: buffer[rows] for name, buffer in vars(buffers).items()})
