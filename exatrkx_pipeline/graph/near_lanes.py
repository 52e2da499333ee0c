"""Sixteen distances at once in compiled functions: what numba has no words for.

A loop over candidates with one over axes inside becomes single operations; written as
vectors, a point is compared with a whole leaf of the tree in some ten nanoseconds.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,import-untyped"
# numba and llvmlite give their functions no types.

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
"""Points of a leaf."""

AXES = 8
"""Coordinates of a point that take part."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


@intrinsic
def near_lanes(typing_context, leaves, leaf, point, near, sure):  # noqa: PLR0917
    """Bits of the points of a leaf that are near: bit `k` is that of lane `k`.

    ``leaves[leaf + LANES * axis + lane]`` are coordinates, float32, and so are
    ``leaves[point + LANES * axis]``; both squared distances are compared with ``<=``.
    Bits 16 to 31 say the same for `sure`. No comparison with NaN is true.
    """

    def code(context, builder, signature, arguments):
        array, leaf, point, *limits = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        fma = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_FLOATS, (_FLOATS,) * 3),
            f"llvm.fmuladd.v{LANES}f32",
        )
        squared = ir.Constant(_FLOATS, [0.0] * LANES)
        for axis in range(AXES):
            step = _INT64(axis * LANES)
            lanes = builder.bitcast(
                builder.gep(data, [builder.add(leaf, step)]), _FLOATS.as_pointer()
            )
            own = builder.load(builder.gep(data, [builder.add(point, step)]))
            difference = builder.fsub(
                builder.load(lanes, align=4), _in_all_lanes(builder, own)
            )
            squared = builder.call(fma, (difference, difference, squared))
        near, sure = (_bits_within(builder, squared, limit) for limit in limits)
        return builder.or_(near, builder.shl(sure, _INT64(LANES)))

    signature = types.int64(
        leaves, types.intp, types.intp, types.float32, types.float32
    )
    return signature, code


@intrinsic
def lowest_bit(typing_context, bits):
    """Number of the lowest bit that is set; there must be one."""

    def code(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.int64), code


def _bits_within(builder, squared, limit):
    within = builder.fcmp_ordered("<=", squared, _in_all_lanes(builder, limit))
    return builder.zext(builder.bitcast(within, ir.IntType(LANES)), _INT64)


def _in_all_lanes(builder, number):
    vector = builder.insert_element(
        ir.Constant(_FLOATS, ir.Undefined), number, _INT32(0)
    )
    zeros = ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES)
    return builder.shuffle_vector(vector, vector, zeros)
