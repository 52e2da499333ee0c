"""The product of some rows with a panel of 16 columns, its sums in registers.

Written as LLVM instructions, because its shape is what makes it fast: the processor can
foresee where the inner loop ends, and all kernels call the same one function.
"""

# mypy: disable-error-code="import-untyped,no-untyped-def,no-untyped-call,misc"
# numba and llvmlite give their functions and classes no types.

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from exatrkx_pipeline.kernels.layout import LANES
from exatrkx_pipeline.kernels.vectors import FLOATS, fma_of, in_all_lanes, instruction

ROWS = 6
"""Rows of a tile. Of AVX2's 16 registers, 12 hold their sums, two the panel's weights
and one an element of a row: the shape of BLIS's kernel for Haswell and Zen
(``kernels/haswell/3/bli_gemm_haswell_asm_d6x8.c``)."""

UNROLLED = 8
"""Columns of the rows in one round of the loop."""

_INDEX = ir.IntType(64)
_POINTER = ir.FloatType().as_pointer()
_SIGNATURE = ir.FunctionType(
    ir.VoidType(),
    # inputs, step, n_in, weights, start, step, out, step
    (_POINTER, _INDEX, _INDEX, _POINTER, _POINTER, _INDEX, _POINTER, _INDEX),
)


@instruction
def six_rows(typing_context, inputs, panels, start, out, row, panel):  # noqa: PLR0917
    """``out = start + inputs @ weights`` for one panel and six rows, from `row` on.

    Parameters
    ----------
    inputs, start, out : Rows
        `inputs` has ``panels.n_in`` columns; the panel's are columns ``16 * panel`` to
        ``16 * panel + 16`` of `start` and `out`, which may be the same rows.
    panels : Panels
    row, panel : int
    """
    return _signature(inputs, panels, start, out), _code(ROWS)


@instruction
def one_row(typing_context, inputs, panels, start, out, row, panel):  # noqa: PLR0917
    """As `six_rows` for one row, to the same bits."""
    return _signature(inputs, panels, start, out), _code(1)


def _signature(inputs, panels, start, out):
    return types.void(inputs, panels, start, out, types.intp, types.intp)


def _code(n_rows):
    def code(context, builder, signature, arguments):
        inputs, panels, start, out, row, panel = arguments

        def address(group, group_type, offset):
            """Address `offset` floats after the beginning of the rows or panels."""
            array = context.make_array(group_type.types[0])(
                context, builder, builder.extract_value(group, 0)
            )
            first = builder.extract_value(group, 1)
            return builder.gep(array.data, [builder.add(first, offset)])

        def step(group):
            return builder.extract_value(group, 2)

        def row_offset(group):
            return builder.mul(row, step(group))

        column = builder.mul(panel, _INDEX(LANES))
        inputs_type, panels_type, start_type, out_type = signature.args[:4]
        n_in = step(panels)
        builder.call(
            _function(builder.module, n_rows),
            (
                address(inputs, inputs_type, row_offset(inputs)),
                step(inputs),
                n_in,
                address(panels, panels_type, builder.mul(column, n_in)),
                address(start, start_type, builder.add(row_offset(start), column)),
                step(start),
                address(out, out_type, builder.add(row_offset(out), column)),
                step(out),
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
    inputs, step, n_in, weights, start, start_step, out, out_step = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    rows = [_moved(builder, inputs, step, k) for k in range(n_rows)]
    sums = [
        _load(builder, _moved(builder, start, start_step, k)) for k in range(n_rows)
    ]
    whole = builder.and_(n_in, _INDEX(-UNROLLED))
    add = _Columns(builder, function, rows, weights)
    sums = add.loop(_INDEX(0), whole, UNROLLED, sums)
    sums = add.loop(whole, n_in, 1, sums)
    for k, total in enumerate(sums):
        pointer = _moved(builder, out, out_step, k)
        builder.store(total, builder.bitcast(pointer, FLOATS.as_pointer()), align=4)
    builder.ret_void()
    return function


class _Columns:
    """Writes loops that add columns of the rows, times the weights, to sums."""

    def __init__(self, builder, function, rows, weights):
        self._builder, self._function = builder, function
        self._rows, self._weights = rows, weights

    def loop(self, first, end, count, sums):
        """Add columns `first` to `end`, `count` a round; the new sums."""
        builder = self._builder
        before = builder.block
        check, body, after = (self._function.append_basic_block() for _ in range(3))
        builder.branch(check)
        builder.position_at_end(check)
        column = builder.phi(_INDEX)
        running = [builder.phi(FLOATS) for _ in sums]
        builder.cbranch(builder.icmp_signed("<", column, end), body, after)
        builder.position_at_end(body)
        updated = list(running)
        for k in range(count):
            self._add_column(builder.add(column, _INDEX(k)), updated)
        column.add_incoming(first, before)
        column.add_incoming(builder.add(column, _INDEX(count)), body)
        for phi, given, new in zip(running, sums, updated, strict=True):
            phi.add_incoming(given, before)
            phi.add_incoming(new, body)
        builder.branch(check)
        builder.position_at_end(after)
        return running

    def _add_column(self, column, sums):
        builder = self._builder
        offset = builder.mul(column, _INDEX(LANES))
        weights = _load(builder, builder.gep(self._weights, [offset]))
        for i, row in enumerate(self._rows):
            element = builder.load(builder.gep(row, [column]))
            sums[i] = fma_of(builder, in_all_lanes(builder, element), weights, sums[i])


def _moved(builder, pointer, step, count):
    return builder.gep(pointer, [builder.mul(step, _INDEX(count))])


def _load(builder, pointer):
    return builder.load(builder.bitcast(pointer, FLOATS.as_pointer()), align=4)
