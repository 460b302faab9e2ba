"""What a step does between its matrix products, bound to the memory that it works on: by torch, or compiled.

Both give the same bits where torch has AVX-512, up to signs of zero. Each function takes the tensors once and returns
what does the work. The compiled ones take bfloat16 alone, and rows of certain lengths; `operations_for` chooses.
Chapter: Goldilocks.
"""

import math
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch

from compute.goldilocks import kernels, softmax
from compute.goldilocks.lanes import bits_of
from compute.goldilocks.settings import LAYER_NORM_EPS, Settings

aten = torch.ops.aten


class Plain:
    """By torch: any length, any type."""

    @staticmethod
    def norm(x, added, weight, bias, out, mean, scale) -> Callable[[], None]:
        """Layer norm of rows x (N, D) into out; their mean and 1 / standard deviation into mean and scale, (N, 1).

        First, `added` is added to x in place: (N, D), or fewer rows, which are added over and over.
        """
        given = x, weight.shape, weight, bias, LAYER_NORM_EPS
        over = x.view(-1, *added.shape)

        def norm():
            over.add_(added)
            aten.native_layer_norm.out(*given, out0=out, out1=mean, out2=scale)

        return norm

    @staticmethod
    def norm_back(slope, x, mean, scale, weight, added, out) -> Callable[[], None]:
        """The slope at x (N, D) from that at its layer norm, into out, and `added` to it unless that is None."""
        given = slope, x, weight.shape, mean, scale, weight, None, [True, False, False]  # the bias does not matter

        def back():
            found = aten.native_layer_norm_backward(*given)[0]
            out.copy_(found) if added is None else torch.add(found, added, out=out)

        return back

    @staticmethod
    def norm_sums(slope, x, mean, scale, weight, weight_slope, bias_slope) -> Callable[[], None]:
        """The slopes of a layer norm's weight and bias (D,), sums over rows."""
        given = slope, x, weight.shape, mean, scale, weight, weight, [False, True, True]  # of the bias only its shape

        def sums():
            _, at_weight, at_bias = aten.native_layer_norm_backward(*given)
            weight_slope.copy_(at_weight)
            bias_slope.copy_(at_bias)

        return sums

    @staticmethod
    def column_sums(rows, out) -> Callable[[], None]:
        """Sums over rows (N, C) into out (C,)."""
        return partial(torch.sum, rows, 0, out=out)

    @staticmethod
    def attend(p, factor) -> Callable[[], None]:
        """Scores p (blocks, context, context) to probabilities in place: times factor, then softmax of j <= i."""
        mask = p.new_full(p.shape[1:], -math.inf).triu_(1)

        def attend():
            p.mul_(factor).add_(mask)
            torch._softmax(p, 2, False, out=p)

        return attend

    @staticmethod
    def attend_back(slope, p, factor) -> Callable[[], None]:
        """The slope at the scores of `attend` from that at its probabilities p, in place."""
        return lambda: torch.mul(aten._softmax_backward_data(slope, p, 2, p.dtype), factor, out=slope)

    @staticmethod
    def gelu(x, out) -> Callable[[], None]:
        """GELU of x into out."""
        return partial(aten.gelu.out, x, out=out)

    @staticmethod
    def gelu_back(slope, x) -> Callable[[], None]:
        """The slope at x from that at its GELU, in place."""
        return lambda: aten.gelu_backward.grad_input(slope, x, grad_input=slope)

    @staticmethod
    def predict(p, n_tokens, wanted) -> Callable[[torch.Tensor], None]:
        """Logits p (N, V') to p - y in place, given the targets (N,): softmax over the first n_tokens, zeros beyond.

        Leaves in wanted (N,) the probability of each target.
        """
        rows = torch.arange(len(p))

        def predict(targets):
            p[:, n_tokens:] = -math.inf
            torch._softmax(p, 1, False, out=p)
            wanted.copy_(p[rows, targets])
            p[rows, targets] = wanted - 1

        return predict

    @staticmethod
    def input_sums(slopes, matrix) -> Callable[[torch.Tensor], None]:
        """Given ids (N,), add to the rows of matrix (V, D) the slopes (N, D) at their input rows.

        Those of one id are summed in float32, in their order, and rounded once.
        """

        def sums(ids):
            found, place = torch.unique(ids, return_inverse=True)
            total = torch.zeros(len(found), slopes.shape[1]).index_add_(0, place, slopes.float())  # (ids, D)
            matrix.index_add_(0, found, total.to(slopes.dtype))

        return sums


class Compiled:
    """By `compute.goldilocks.kernels` and `softmax`; what the functions do is told at those of `Plain`."""

    @staticmethod
    def norm(x, added, weight, bias, out, mean, scale):
        return _bound(kernels.norm, x, added, weight, bias, out, mean, scale, np.float32(LAYER_NORM_EPS))

    @staticmethod
    def norm_back(slope, x, mean, scale, weight, added, out):
        added = weight[:0] if added is None else added
        return _bound(kernels.norm_back, slope, x, mean, scale, weight, added, out)

    @staticmethod
    def norm_sums(slope, x, mean, scale, weight, weight_slope, bias_slope):
        return _bound(kernels.norm_sums, slope, x, mean, scale, weight_slope, bias_slope)

    @staticmethod
    def column_sums(rows, out):
        return _bound(kernels.column_sums, rows, out)

    @staticmethod
    def attend(p, factor):
        return _bound(softmax.attend, p, np.float32(factor), p.shape[2])

    @staticmethod
    def attend_back(slope, p, factor):
        return _bound(softmax.attend_back, slope, p, np.float32(factor), p.shape[2])

    @staticmethod
    def gelu(x, out):
        return _bound(kernels.gelu, x, out, _gelu_table())

    @staticmethod
    def gelu_back(slope, x):
        return _bound(kernels.gelu_back, slope, x, _steepness())

    @staticmethod
    def predict(p, n_tokens, wanted):
        p, wanted = bits_of(p), bits_of(wanted)
        return lambda targets: softmax.predict(p, n_tokens, targets.numpy(), wanted)

    @staticmethod
    def input_sums(slopes, matrix):
        places, room = np.full(len(matrix), -1), np.empty(slopes.numel(), np.float32)
        slopes, matrix = bits_of(slopes), bits_of(matrix)
        return lambda ids: kernels.input_sums(ids.numpy(), slopes, places, room, matrix)


def operations_for(settings: Settings, dtype: torch.dtype) -> type[Plain] | type[Compiled]:
    """Return the operations for a model of these settings, whose weights are of dtype."""
    s = settings
    fit = kernels.fits(s.width, s.feed_forward, s.context)
    fit = fit and s.width <= kernels.WIDEST and s.batch * s.context <= kernels.TALLEST
    return Compiled if dtype == torch.bfloat16 and fit else Plain


def _bound(kernel, *given) -> Callable[[], None]:
    return partial(kernel, *(bits_of(one) if isinstance(one, torch.Tensor) else one for one in given))


def _every() -> torch.Tensor:
    """All bfloat16, in the order of their patterns."""
    return torch.arange(1 << 16).to(torch.int16).view(torch.bfloat16)


@cache
def _gelu_table() -> np.ndarray:
    """GELU in bfloat16 at each bfloat16, as patterns."""
    return bits_of(torch.nn.functional.gelu(_every()))


@cache
def _steepness() -> np.ndarray:
    """GELU's derivative in float32 at each bfloat16."""
    every = _every().float()
    return aten.gelu_backward(torch.ones_like(every), every).numpy()
