"""Vectors of 16 floats in compiled functions: what numba has no words for.

Loops written with them are the machine's vector instructions as they stand, whatever
the compiler makes of a loop over single numbers. LLVM cuts a vector into the registers
that the processor has: two of AVX2, four of NEON. Each operation rounds in the same way
in every function, so equal rows give equal results in loops of different shape.
"""

# mypy: disable-error-code="import-untyped,no-untyped-def,no-untyped-call,misc"
# Any: numba and llvmlite give their functions and classes no types.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model
from numpy.polynomial import Chebyshev, Polynomial

LANES = 16
"""Floats of a vector, and columns of a panel of weights."""

EXP2_DEGREE = 5
LARGEST_POWER = 126.0
"""Powers of two are taken within these: at 2^126, one and less vanish beside it."""
ROUNDING = 1.5 * 2.0**23
"""A float32 near it has no fraction: adding it rounds, and the last bits of the sum are
the integer."""

FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)

# Any: called in compiled functions, without the first of its arguments.
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
    """Of the polynomial for 2^x where abs(x) <= 1/2, lowest power first.

    By interpolation in Chebyshev points, which is close to the best there is: its
    relative error is 3e-7.
    """
    fit = Chebyshev.interpolate(np.exp2, EXP2_DEGREE, [-0.5, 0.5])
    coefficients: list[float] = fit.convert(kind=Polynomial).coef.tolist()
    return coefficients


@instruction
def stay_apart(typing_context):
    """Let the function that calls this be no part of its callers: compiled once."""

    def code(context, builder, signature, arguments):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), code


@instruction
def load(typing_context, array, at):
    """``array[at : at + 16]`` of an array that is contiguous."""

    def code(context, builder, signature, arguments):
        place = place_of(context, builder, signature.args[0], arguments)
        return builder.load(builder.bitcast(place, FLOATS.as_pointer()), align=4)

    return VECTOR(array, types.intp), code


@instruction
def store(typing_context, array, at, vector):
    """``array[at : at + 16] = vector``."""

    def code(context, builder, signature, arguments):
        place = place_of(context, builder, signature.args[0], arguments)
        pointer = builder.bitcast(place, FLOATS.as_pointer())
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), code


@instruction
def spread(typing_context, array, at):
    """``array[at]`` in all lanes."""

    def code(context, builder, signature, arguments):
        place = place_of(context, builder, signature.args[0], arguments)
        return in_all_lanes(builder, builder.load(place))

    return VECTOR(array, types.intp), code


@instruction
def fill(typing_context, number):
    """The number in all lanes."""

    def code(context, builder, signature, arguments):
        return in_all_lanes(builder, arguments[0])

    return VECTOR(types.float32), code


@instruction
def fma(typing_context, a, b, c):
    """``a * b + c``, rounded once where the processor can."""

    def code(context, builder, signature, arguments):
        return fma_of(builder, *arguments)

    return VECTOR(VECTOR, VECTOR, VECTOR), code


@instruction
def add(typing_context, a, b):
    """``a + b``."""

    def code(context, builder, signature, arguments):
        return builder.fadd(*arguments)

    return VECTOR(VECTOR, VECTOR), code


@instruction
def subtract(typing_context, a, b):
    """``a - b``."""

    def code(context, builder, signature, arguments):
        return builder.fsub(*arguments)

    return VECTOR(VECTOR, VECTOR), code


@instruction
def multiply(typing_context, a, b):
    """``a * b``."""

    def code(context, builder, signature, arguments):
        return builder.fmul(*arguments)

    return VECTOR(VECTOR, VECTOR), code


@instruction
def total(typing_context, vector):
    """Sum of the lanes."""

    def code(context, builder, signature, arguments):
        (lanes,) = arguments
        half = LANES
        while half > 1:
            half //= 2
            low, high = (
                builder.shuffle_vector(
                    lanes, lanes, _places(range(first, first + half))
                )
                for first in (0, half)
            )
            lanes = builder.fadd(low, high)
        return builder.extract_element(lanes, ir.IntType(32)(0))

    return types.float32(VECTOR), code


@instruction
def relu(typing_context, x):
    """The larger of x and 0, lane by lane."""

    def code(context, builder, signature, arguments):
        return _larger(builder, _constant(0.0), arguments[0])

    return VECTOR(VECTOR), code


@instruction
def silu(typing_context, x):
    """The number times its sigmoid, lane by lane; the relative error is 3e-6."""

    def code(context, builder, signature, arguments):
        (x,) = arguments
        return _over_one_plus_power(builder, x, x, 1.0)

    return VECTOR(VECTOR), code


@instruction
def tanh(typing_context, x):
    """Hyperbolic tangent, lane by lane; the absolute error is 1e-6."""

    def code(context, builder, signature, arguments):
        twice = _over_one_plus_power(builder, _constant(2.0), arguments[0], 2.0)
        return builder.fsub(twice, _constant(1.0))

    return VECTOR(VECTOR), code


def _over_one_plus_power(builder, above, x, factor):
    """``above / (1 + exp(-factor * x))``, by a power of two."""
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
    below = builder.fadd(builder.bitcast(bits, FLOATS), _constant(1.0))
    # Divided, not multiplied by the processor's estimate of 1 / x and a step of
    # Newton's: that took half as long again on Zen 3.
    return builder.fdiv(above, below)


# A NaN is the second operand's: it passes through.
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


def _places(indices):
    indices = list(indices)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), indices)


def in_all_lanes(builder, number):
    """A vector of one number."""
    vector = builder.insert_element(
        ir.Constant(FLOATS, ir.Undefined), number, ir.IntType(32)(0)
    )
    return builder.shuffle_vector(vector, vector, _places([0] * LANES))


def place_of(context, builder, array_type, arguments):
    """Address of an array's element, from the two."""
    array = context.make_array(array_type)(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])
