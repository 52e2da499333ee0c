"""The product of some rows with a panel of 16 columns, its sums in registers.

Written as LLVM instructions, since its shape is what makes it fast: the inner loop is
as long as the processor can still foresee where it ends, and the function stays one,
however many kernels call it.
"""

# mypy: disable-error-code="import-untyped,no-untyped-def,no-untyped-call,misc"
# Any: numba and llvmlite give their functions and classes no types.

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from exatrkx_pipeline.kernels.vectors import (
    FLOATS,
    fma_of,
    in_all_lanes,
    instruction,
    place_of,
)

ROWS = 6
"""Rows of a tile. Of AVX2's 16 registers, 12 hold their sums, two the panel's weights
and one an element of a row: the shape of BLIS's kernel for Haswell and Zen
(``kernels/haswell/3/bli_gemm_haswell_asm_d6x8.c``)."""

UNROLLED = 8
"""Columns of the rows in one round of the loop."""

_FLOAT, _INDEX = ir.FloatType(), ir.IntType(64)
_POINTER = _FLOAT.as_pointer()
_SIGNATURE = ir.FunctionType(
    ir.VoidType(),
    # rows, step, n_in, weights, start, step, out, step
    (_POINTER, _INDEX, _INDEX, _POINTER, _POINTER, _INDEX, _POINTER, _INDEX),
)


@instruction
def six_rows(  # noqa: PLR0917
    typing_context,
    a,
    a_at,
    a_step,
    n_in,
    weights,
    w_at,
    start,
    start_at,
    start_step,
    out,
    out_at,
    out_step,
):
    """``out = start + a @ weights`` for six rows, ``step`` floats apart."""
    return _signature(a, weights, start, out), _code(ROWS)


@instruction
def one_row(  # noqa: PLR0917
    typing_context,
    a,
    a_at,
    a_step,
    n_in,
    weights,
    w_at,
    start,
    start_at,
    start_step,
    out,
    out_at,
    out_step,
):
    """As `six_rows`, to the same bits."""
    return _signature(a, weights, start, out), _code(1)


def _signature(a, weights, start, out):
    at = types.intp
    return types.void(a, at, at, at, weights, at, start, at, at, out, at, at)


def _code(n_rows):
    def code(context, builder, signature, arguments):
        def place(k):
            pair = arguments[k : k + 2]
            return place_of(context, builder, signature.args[k], pair)

        _, _, a_step, n_in, _, _, _, _, start_step, _, _, out_step = arguments
        builder.call(
            _function(builder.module, n_rows),
            (
                place(0),
                a_step,
                n_in,
                place(4),
                place(6),
                start_step,
                place(9),
                out_step,
            ),
        )
        return context.get_dummy_value()

    return code


def _function(module, n_rows):
    name = f"exatrkx_product_{n_rows}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, _SIGNATURE, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    a, a_step, n_in, weights, start, start_step, out, out_step = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    rows = [_moved(builder, a, a_step, k) for k in range(n_rows)]
    sums = [
        _load(builder, _moved(builder, start, start_step, k)) for k in range(n_rows)
    ]
    whole = builder.and_(n_in, _INDEX(-UNROLLED))
    sums = _rounds(builder, function, _INDEX(0), whole, UNROLLED, rows, weights, sums)
    sums = _rounds(builder, function, whole, n_in, 1, rows, weights, sums)
    for k, total in enumerate(sums):
        pointer = _moved(builder, out, out_step, k)
        builder.store(total, builder.bitcast(pointer, FLOATS.as_pointer()), align=4)
    builder.ret_void()
    return function


def _rounds(builder, function, first, end, count, rows, weights, sums):  # noqa: PLR0917
    """Add columns `first` to `end` of the rows, `count` a round."""
    before = builder.block
    check, body, after = (function.append_basic_block() for _ in range(3))
    builder.branch(check)
    builder.position_at_end(check)
    column = builder.phi(_INDEX)
    running = [builder.phi(FLOATS) for _ in sums]
    builder.cbranch(builder.icmp_signed("<", column, end), body, after)
    builder.position_at_end(body)
    updated = list(running)
    for k in range(count):
        at = builder.add(column, _INDEX(k))
        panel = _load(builder, builder.gep(weights, [builder.shl(at, _INDEX(4))]))
        for i, row in enumerate(rows):
            element = in_all_lanes(builder, builder.load(builder.gep(row, [at])))
            updated[i] = fma_of(builder, element, panel, updated[i])
    column.add_incoming(first, before)
    column.add_incoming(builder.add(column, _INDEX(count)), body)
    for phi, given, new in zip(running, sums, updated, strict=True):
        phi.add_incoming(given, before)
        phi.add_incoming(new, body)
    builder.branch(check)
    builder.position_at_end(after)
    return running


def _moved(builder, pointer, step, count):
    return builder.gep(pointer, [builder.mul(step, _INDEX(count))])


def _load(builder, pointer):
    return builder.load(builder.bitcast(pointer, FLOATS.as_pointer()), align=4)
