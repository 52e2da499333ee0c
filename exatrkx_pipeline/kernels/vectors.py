"""Vectors of 16 floats in compiled functions, which numba itself does not offer.

Loops written with them become vector instructions as they stand, and do not depend on
what the compiler makes of a loop over single numbers. LLVM cuts a vector into the
registers that the processor has: two of AVX2, four of NEON. Each operation rounds in
the same way in every function, so equal rows give equal results in loops of different
shape.
"""

# mypy: disable-error-code="import-untyped,no-untyped-def,no-untyped-call,misc"
# numba and llvmlite give their functions and classes no types.

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model
from numpy.polynomial import Chebyshev, Polynomial

from exatrkx_pipeline.kernels.layout import LANES

EXP2_DEGREE = 5
LARGEST_POWER = 126.0
"""Largest exponent of a power of two: beside 2^126, one and less vanish."""
ROUNDING = 1.5 * 2.0**23
"""A float32 near it has no fraction: adding it rounds a number to an integer, which is
in the last bits of the sum."""

AXES = 8
"""Coordinates that `near_lanes` compares."""

FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_INT64 = ir.IntType(64)

# Any: an instruction is called without the first of its arguments.
instruction: Callable[[Callable[..., Any]], Any] = intrinsic


class VectorType(types.Type):
    """The type of a vector in compiled functions."""

    def __init__(self) -> None:
        super().__init__(name="Vector16")


VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, FLOATS)


def exp2_coefficients() -> list[float]:
    """Coefficients of a polynomial for 2^x where abs(x) <= 1/2, lowest power first.

    They are found by interpolation in Chebyshev points, which is close to the best
    possible; the relative error is 3e-7.
    """
    fit = Chebyshev.interpolate(np.exp2, EXP2_DEGREE, [-0.5, 0.5])
    coefficients: list[float] = fit.convert(kind=Polynomial).coef.tolist()
    return coefficients


def _lanewise(operation):
    """An instruction that applies an operation to vectors, lane by lane."""
    n_vectors = operation.__code__.co_argcount - 1

    def instruction_(typing_context, *vectors):
        def code(context, builder, signature, arguments):
            return operation(builder, *arguments)

        return VECTOR(*[VECTOR] * n_vectors), code

    return instruction(update_wrapper(instruction_, operation))


@instruction
def not_inlined(typing_context):
    """Compile the calling function once, instead of into each of its callers."""

    def code(context, builder, signature, arguments):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), code


@instruction
def load(typing_context, array, offset):
    """``array[offset : offset + 16]`` of an array that is contiguous."""

    def code(context, builder, signature, arguments):
        place = address_of(context, builder, signature.args[0], arguments)
        return builder.load(builder.bitcast(place, FLOATS.as_pointer()), align=4)

    return VECTOR(array, types.intp), code


@instruction
def store(typing_context, array, offset, vector):
    """``array[offset : offset + 16] = vector``."""

    def code(context, builder, signature, arguments):
        place = address_of(context, builder, signature.args[0], arguments)
        pointer = builder.bitcast(place, FLOATS.as_pointer())
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), code


@instruction
def spread(typing_context, array, offset):
    """``array[offset]`` in all lanes."""

    def code(context, builder, signature, arguments):
        place = address_of(context, builder, signature.args[0], arguments)
        return in_all_lanes(builder, builder.load(place))

    return VECTOR(array, types.intp), code


@instruction
def fill(typing_context, number):
    """The number in all lanes."""

    def code(context, builder, signature, arguments):
        return in_all_lanes(builder, arguments[0])

    return VECTOR(types.float32), code


@_lanewise
def fma(builder, a, b, c):
    """``a * b + c``, rounded once where the processor can."""
    return fma_of(builder, a, b, c)


@_lanewise
def add(builder, a, b):
    """``a + b``."""
    return builder.fadd(a, b)


@_lanewise
def subtract(builder, a, b):
    """``a - b``."""
    return builder.fsub(a, b)


@_lanewise
def multiply(builder, a, b):
    """``a * b``."""
    return builder.fmul(a, b)


@instruction
def total(typing_context, vector):
    """Sum of the lanes."""

    def code(context, builder, signature, arguments):
        (lanes,) = arguments
        n_lanes = LANES
        while n_lanes > 1:
            n_lanes //= 2
            low, high = (
                builder.shuffle_vector(
                    lanes, lanes, _lane_numbers(range(first, first + n_lanes))
                )
                for first in (0, n_lanes)
            )
            lanes = builder.fadd(low, high)
        return builder.extract_element(lanes, ir.IntType(32)(0))

    return types.float32(VECTOR), code


@instruction
def near_lanes(typing_context, leaves, leaf, point, near, sure):  # noqa: PLR0917
    """Bit `k` is set if point `k` of a leaf is near; bit ``16 + k`` if it surely is.

    Parameters
    ----------
    leaves : ndarray, float32
        Coordinates: of the leaf's points ``leaves[leaf + 16 * axis + lane]``, of the
        point that they are compared with ``leaves[point + 16 * axis]``.
    leaf, point : int
    near, sure : float32
        Squared distances, compared with ``<=``; no comparison with NaN is true.
    """

    def code(context, builder, signature, arguments):
        array, leaf, point, *limits = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        squared = _constant(0.0)
        for axis in range(AXES):
            step = _INT64(axis * LANES)
            lanes = builder.bitcast(
                builder.gep(data, [builder.add(leaf, step)]), FLOATS.as_pointer()
            )
            own = builder.load(builder.gep(data, [builder.add(point, step)]))
            difference = builder.fsub(
                builder.load(lanes, align=4), in_all_lanes(builder, own)
            )
            squared = fma_of(builder, difference, difference, squared)
        near, sure = (_bits_within(builder, squared, limit) for limit in limits)
        return builder.or_(near, builder.shl(sure, _INT64(LANES)))

    signature = types.int64(
        leaves, types.intp, types.intp, types.float32, types.float32
    )
    return signature, code


def _bits_within(builder, squared, limit):
    within = builder.fcmp_ordered("<=", squared, in_all_lanes(builder, limit))
    return builder.zext(builder.bitcast(within, ir.IntType(LANES)), _INT64)


@instruction
def lowest_bit(typing_context, bits):
    """Number of the lowest bit that is set; there must be one."""

    def code(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.int64), code


@_lanewise
def relu(builder, x):
    """The larger of x and 0."""
    return _larger(builder, _constant(0.0), x)


@_lanewise
def silu(builder, x):
    """The number times its sigmoid; the relative error is 3e-6."""
    return _over_one_plus_power(builder, x, x, 1.0)


@_lanewise
def tanh(builder, x):
    """Hyperbolic tangent; the absolute error is 1e-6."""
    twice = _over_one_plus_power(builder, _constant(2.0), x, 2.0)
    return builder.fsub(twice, _constant(1.0))


def _over_one_plus_power(builder, numerator, x, factor):
    """``numerator / (1 + exp(-factor * x))``, by a power of two."""
    power = builder.fmul(x, _constant(-factor * np.log2(np.e)))
    power = _larger(builder, _constant(-LARGEST_POWER), power)
    power = _smaller(builder, _constant(LARGEST_POWER), power)
    rounding = _constant(ROUNDING)
    rounded = builder.fadd(power, rounding)
    rest = builder.fsub(power, builder.fsub(rounded, rounding))
    *lower, value = map(_constant, exp2_coefficients())
    for coefficient in reversed(lower):
        value = fma_of(builder, value, rest, coefficient)
    # Adding to a float's exponent multiplies by a power of two.
    exponent = builder.shl(
        builder.bitcast(rounded, _INTEGERS), ir.Constant(_INTEGERS, [23] * LANES)
    )
    bits = builder.add(builder.bitcast(value, _INTEGERS), exponent)
    denominator = builder.fadd(builder.bitcast(bits, FLOATS), _constant(1.0))
    # Multiplying by the processor's estimate of 1 / x and a Newton step took half as
    # long again on Zen 3.
    return builder.fdiv(numerator, denominator)


# NaN passes through: a comparison with it is false, which chooses the second operand.
def _larger(builder, bound, x):
    return builder.select(builder.fcmp_ordered(">", bound, x), bound, x)


def _smaller(builder, bound, x):
    return builder.select(builder.fcmp_ordered("<", bound, x), bound, x)


def fma_of(builder, a, b, c):
    """``a * b + c`` of vectors."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(FLOATS, (FLOATS,) * 3), "llvm.fmuladd.v16f32"
    )
    return builder.call(function, (a, b, c))


def _constant(value):
    return ir.Constant(FLOATS, [float(np.float32(value))] * LANES)


def _lane_numbers(indices):
    indices = list(indices)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), indices)


def in_all_lanes(builder, number):
    """A vector of one number."""
    vector = builder.insert_element(
        ir.Constant(FLOATS, ir.Undefined), number, ir.IntType(32)(0)
    )
    return builder.shuffle_vector(vector, vector, _lane_numbers([0] * LANES))


def address_of(context, builder, array_type, arguments):
    """Address of an array's element, from the array and an index."""
    array = context.make_array(array_type)(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])
