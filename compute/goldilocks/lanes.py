"""Eight float32 in one register, as a type of numba's: what the compiled operations of a training step are written in.

A sum over a row keeps one partial sum a lane and folds them by halves at the end; which number goes into which lane,
and where something is rounded or fused, is thereby written in the code: the bits do not depend on the processor.
Arrays are flat: float32, or bfloat16 as patterns of uint16 (`bits_of`); arithmetic is float32. Chapter: Goldilocks.
"""

import operator

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

F = np.float32
FLOAT, WORD = ir.FloatType(), ir.IntType(32)
FLOATS, WORDS, HALVES = (ir.VectorType(kind, 8) for kind in (FLOAT, WORD, ir.IntType(16)))


def bits_of(tensor: torch.Tensor) -> np.ndarray:
    """Return a contiguous bfloat16 tensor's own memory as a flat array of uint16."""
    return tensor.view(torch.int16).view(-1).numpy().view(np.uint16)


class Lanes(types.Type):
    """Numba's type of eight float32 in one register."""

    def __init__(self):
        super().__init__(name="lanes")


LANES = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, FLOATS)


def _words(number: int) -> ir.Constant:
    return ir.Constant(WORDS, [number] * 8)


def _called(builder, name, *given):
    kind = ir.FunctionType(FLOATS, [FLOATS] * len(given))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v8f32"), given)


def _place(context, builder, kind, array, index, target):
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


def _to_nearest(builder, lanes):
    """The patterns of the lanes plus what makes their upper halves the nearest bfloat16, ties to even."""
    pattern = builder.bitcast(lanes, WORDS)
    odd = builder.and_(builder.lshr(pattern, _words(16)), _words(1))
    return builder.add(pattern, builder.add(odd, _words(0x7FFF)))


class _OfTwo(ConcreteTemplate):
    cases = [signature(LANES, LANES, LANES)]


def _define(function, name):
    infer_global(function)(_OfTwo)
    lower_builtin(function, LANES, LANES)(lambda context, builder, sig, args: getattr(builder, name)(*args))


for _function, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _define(_function, _name)
_define(operator.truediv, "fdiv")


@intrinsic
def load(typing, array, index):
    """Eight numbers of a float32 array, or of bfloat16 patterns, from index on."""

    def lower(context, builder, sig, args):
        wide = sig.args[0].dtype == types.float32
        place = _place(context, builder, sig.args[0], *args, FLOATS if wide else HALVES)
        if wide:
            return builder.load(place, align=4)
        return builder.bitcast(builder.shl(builder.zext(builder.load(place, align=2), WORDS), _words(16)), FLOATS)

    return LANES(array, types.intp), lower


@intrinsic
def store(typing, array, index, lanes):
    """Eight numbers into a float32 array, or rounded to bfloat16 into one of patterns, from index on."""

    def lower(context, builder, sig, args):
        *where, value = args
        if sig.args[0].dtype == types.float32:
            builder.store(value, _place(context, builder, sig.args[0], *where, FLOATS), align=4)
        else:
            upper = builder.trunc(builder.lshr(_to_nearest(builder, value), _words(16)), HALVES)
            builder.store(upper, _place(context, builder, sig.args[0], *where, HALVES), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, LANES), lower


@intrinsic
def look(typing, table, patterns, index):
    """What a float32 table (65,536,) has for each of eight bfloat16 patterns, from index on."""

    def lower(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        eight = builder.load(_place(context, builder, *sig.args[1:2], *args[1:], HALVES), align=2)
        places, found = builder.zext(eight, ir.VectorType(ir.IntType(64), 8)), ir.Constant(FLOATS, ir.Undefined)
        for lane in map(WORD, range(8)):
            number = builder.load(builder.gep(data, [builder.extract_element(places, lane)]))
            found = builder.insert_element(found, number, lane)
        return found

    return LANES(table, patterns, types.intp), lower


@intrinsic
def ordinals(typing, patterns, index):
    """The lattice ordinals of eight bfloat16 patterns, from index on; 0 for either zero."""

    def lower(context, builder, sig, args):
        place = _place(context, builder, *sig.args[:1], *args, HALVES)
        pattern = builder.sext(builder.load(place, align=2), WORDS)
        minus = builder.ashr(pattern, _words(31))
        size = builder.and_(pattern, _words(0x7FFF))
        return builder.sitofp(builder.sub(builder.xor(size, minus), minus), FLOATS)

    return LANES(patterns, types.intp), lower


@intrinsic
def rounded(typing, lanes):
    """To the nearest bfloat16, and back."""

    def lower(context, builder, sig, args):
        return builder.bitcast(builder.and_(_to_nearest(builder, *args), _words(-(1 << 16))), FLOATS)

    return LANES(LANES), lower


@intrinsic
def spread(typing, number):
    """One float32 in all lanes."""

    def lower(context, builder, sig, args):
        one = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), args[0], WORD(0))
        return builder.shuffle_vector(one, one, _words(0))

    return LANES(types.float32), lower


@intrinsic
def upto(typing, lanes, count, number):
    """The first `count` lanes; `number` in the others."""

    def lower(context, builder, sig, args):
        count = builder.shuffle_vector(
            builder.insert_element(ir.Constant(WORDS, ir.Undefined), builder.trunc(args[1], WORD), WORD(0)),
            ir.Constant(WORDS, ir.Undefined), _words(0),
        )  # fmt: skip
        return builder.select(builder.icmp_signed("<", ir.Constant(WORDS, list(range(8))), count), args[0], args[2])

    return LANES(LANES, types.intp, LANES), lower


@intrinsic
def fma(typing, one, two, three):
    """one * two + three, rounded once."""
    return LANES(LANES, LANES, LANES), lambda context, builder, sig, args: _called(builder, "fma", *args)


@intrinsic
def root(typing, lanes):
    """The square root."""
    return LANES(LANES), lambda context, builder, sig, args: _called(builder, "sqrt", *args)


def _greater(builder, one, two):
    return builder.select(builder.fcmp_ordered(">", one, two), one, two)


@intrinsic
def greater(typing, one, two):
    """The greater of two; the second where they cannot be compared."""
    return LANES(LANES, LANES), lambda context, builder, sig, args: _greater(builder, *args)


def _folded(builder, lanes, join):
    for step in (4, 2, 1):
        order = ir.Constant(WORDS, [lane ^ step for lane in range(8)])
        lanes = join(lanes, builder.shuffle_vector(lanes, lanes, order))
    return builder.extract_element(lanes, WORD(0))


@intrinsic
def total(typing, lanes):
    """The sum of the lanes, by halves."""
    return types.float32(LANES), lambda context, builder, sig, args: _folded(builder, *args, builder.fadd)


@intrinsic
def greatest(typing, lanes):
    """The greatest of the lanes."""

    def lower(context, builder, sig, args):
        return _folded(builder, *args, lambda one, two: _greater(builder, one, two))

    return types.float32(LANES), lower


@intrinsic
def scaled(typing, lanes, power):
    """lanes * 2^power, rounded once; power: whole, -252 to 254."""

    def lower(context, builder, sig, args):
        if "+avx512vl" in context.codegen().magic_tuple()[2].split(","):
            kind = ir.FunctionType(FLOATS, [FLOATS] * 3 + [ir.IntType(8)])
            scale = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.mask.scalef.ps.256")
            return builder.call(scale, [*args, args[0], ir.Constant(ir.IntType(8), -1)])
        found, whole = args[0], builder.fptosi(args[1], WORDS)
        half = builder.ashr(whole, _words(1))
        for part in (half, builder.sub(whole, half)):  # two powers of two that float32 has; the first product is exact
            power = builder.bitcast(builder.shl(builder.add(part, _words(127)), _words(23)), FLOATS)
            found = builder.fmul(found, power)
        return found

    return LANES(LANES, LANES), lower


@intrinsic
def nearest(typing, lanes):
    """The nearest whole number, ties to even."""
    return LANES(LANES), lambda context, builder, sig, args: _called(builder, "nearbyint", *args)


@intrinsic
def turn(typing, array, index):
    """Transpose 8 x 8 float32 that lie in an array from index on, in place."""

    def lower(context, builder, sig, args):
        places = [
            _place(context, builder, sig.args[0], args[0], builder.add(args[1], args[1].type(8 * row)), FLOATS)
            for row in range(8)
        ]
        rows = [builder.load(place, align=4) for place in places]
        for step in (4, 2, 1):
            upper = ir.Constant(WORDS, [8 + (lane ^ step) if lane & step else lane for lane in range(8)])
            lower_ = ir.Constant(WORDS, [8 + lane if lane & step else lane ^ step for lane in range(8)])
            for one in (row for row in range(8) if not row & step):
                two = one | step
                pair = rows[one], rows[two]
                rows[one], rows[two] = builder.shuffle_vector(*pair, upper), builder.shuffle_vector(*pair, lower_)
        for row, place in zip(rows, places, strict=True):
            builder.store(row, place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp), lower


@njit(nogil=True, forceinline=True)
def wide(pattern):
    """The float32 of one bfloat16 pattern."""
    return np.uint32(np.uint32(pattern) << np.uint32(16)).view(F)


@njit(nogil=True, forceinline=True)
def narrow(number):
    """The pattern of the bfloat16 nearest to one float32, ties to even."""
    pattern = F(number).view(np.uint32)
    return np.uint16((pattern + np.uint32(0x7FFF) + ((pattern >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))
