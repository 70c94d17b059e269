"""Operations on rows of 64 examples, as vector instructions: what Numba's own loops leave a factor of two short of.

A row is 64 numbers of 32 bits, one for each of 64 examples, in a C-contiguous array (rows, 64). LLVM cuts it into as
many registers as the machine's vectors need. Which of the 64 examples something holds for is one integer of 64 bits.

Each function here is written once as LLVM's intermediate code and inlined into the kernels; none checks its indices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 64

FLOAT, INDEX, BIT, WORD = ir.FloatType(), ir.IntType(64), ir.IntType(1), ir.IntType(32)
EIGHT = ir.VectorType(INDEX, 8)
FLOATS, WORDS, BITS = (ir.VectorType(kind, LANES) for kind in (FLOAT, WORD, BIT))


@intrinsic
def weighted_sum(typing: Any, x: Any, row: Any, first: Any, source: Any, weight: Any, start: Any, end: Any) -> Any:
    """x[row] = first + sum over j in [start, end) of weight[j] * x[source[j]]. The sum stays in registers."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows, sources, weights = (_data(context, b, signature, args, i) for i in (0, 3, 4))
        multiply_add = _function(b, "llvm.fma.v64f32", FLOATS, [FLOATS] * 3)

        def add(j: Any, total: Any) -> Any:
            factor = _splat(b, b.load(b.gep(weights, [j])))
            return b.call(
                multiply_add, [factor, b.load(_row(b, rows, b.load(b.gep(sources, [j])), FLOATS), align=4), total]
            )

        total = _loop(b, args[5], args[6], _splat(b, args[2]), add)
        b.store(total, _row(b, rows, args[1], FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.float32, source, weight, types.intp, types.intp), code


@intrinsic
def add_dots(typing: Any, dots: Any, d: Any, row: Any, x: Any, source: Any, start: Any, end: Any) -> Any:
    """dots[j] += sum over the examples of d[row] * x[source[j]], for j in [start, end)."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        sums, rows, others, sources = (_data(context, b, signature, args, i) for i in (0, 1, 3, 4))
        # In whatever order: in that of the examples each addition would wait for the one before.
        reduce = _function(b, "llvm.vector.reduce.fadd.v64f32", FLOAT, [FLOAT, FLOATS])
        ours = b.load(_row(b, rows, args[2], FLOATS), align=4)

        def dot(j: Any, nothing: Any) -> Any:
            theirs = b.load(_row(b, others, b.load(b.gep(sources, [j])), FLOATS), align=4)
            product = b.fmul(ours, theirs, flags=("fast",))
            total = b.call(reduce, [ir.Constant(FLOAT, -0.0), product], fastmath=("fast",))
            place = b.gep(sums, [j])
            b.store(b.fadd(b.load(place), total), place)
            return nothing

        _loop(b, args[5], args[6], ir.Constant(BIT, 0), dot)
        return context.get_dummy_value()

    return types.void(dots, d, types.intp, x, source, types.intp, types.intp), code


@intrinsic
def add_scaled(typing: Any, x: Any, source: Any, weight: Any, row: Any, start: Any, end: Any) -> Any:
    """x[source[j]] += weight[j] * x[row], for j in [start, end); row is none of the sources."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows, sources, weights = (_data(context, b, signature, args, i) for i in (0, 1, 2))
        multiply_add = _function(b, "llvm.fma.v64f32", FLOATS, [FLOATS] * 3)
        ours = b.load(_row(b, rows, args[3], FLOATS), align=4)

        def add(j: Any, nothing: Any) -> Any:
            place = _row(b, rows, b.load(b.gep(sources, [j])), FLOATS)
            factor = _splat(b, b.load(b.gep(weights, [j])))
            b.store(b.call(multiply_add, [factor, ours, b.load(place, align=4)]), place, align=4)
            return nothing

        _loop(b, args[4], args[5], ir.Constant(BIT, 0), add)
        return context.get_dummy_value()

    return types.void(x, source, weight, types.intp, types.intp, types.intp), code


@intrinsic
def positive(typing: Any, x: Any, row: Any) -> Any:
    """For which examples x[row] > 0, as bits."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        values = b.load(_row(b, _data(context, b, signature, args, 0), args[1], FLOATS), align=4)
        return b.bitcast(b.fcmp_ordered(">", values, ir.Constant(FLOATS, None)), INDEX)

    return types.uint64(x, types.intp), code


@intrinsic
def positive_or_nan(typing: Any, x: Any, row: Any) -> Any:
    """For which examples x[row] > 0 or is no number, as bits."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        values = b.load(_row(b, _data(context, b, signature, args, 0), args[1], FLOATS), align=4)
        return b.bitcast(b.fcmp_unordered(">", values, ir.Constant(FLOATS, None)), INDEX)

    return types.uint64(x, types.intp), code


@intrinsic
def at_least(typing: Any, keys: Any, row: Any, bounds: Any) -> Any:
    """For which examples keys[row] >= bounds[0], as bits; both of unsigned whole numbers."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        values = b.load(_row(b, _data(context, b, signature, args, 0), args[1], WORDS), align=4)
        least = b.load(_row(b, _data(context, b, signature, args, 2), INDEX(0), WORDS), align=4)
        return b.bitcast(b.icmp_unsigned(">=", values, least), INDEX)

    return types.uint64(keys, types.intp, bounds), code


@intrinsic
def count_at_least(typing: Any, counts: Any, keys: Any, start: Any, end: Any, bounds: Any) -> Any:
    """counts[0] = for each example the number of rows in [start, end) with keys[row] >= bounds[0]."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows = _data(context, b, signature, args, 1)
        least = b.load(_row(b, _data(context, b, signature, args, 4), INDEX(0), WORDS), align=4)

        def count(row: Any, total: Any) -> Any:
            values = b.load(_row(b, rows, row, WORDS), align=4)
            return b.add(total, b.zext(b.icmp_unsigned(">=", values, least), WORDS))

        total = _loop(b, args[2], args[3], ir.Constant(WORDS, None), count)
        b.store(total, _row(b, _data(context, b, signature, args, 0), INDEX(0), WORDS), align=4)
        return context.get_dummy_value()

    return types.void(counts, keys, types.intp, types.intp, bounds), code


@intrinsic
def keep(typing: Any, x: Any, row: Any, bits: Any) -> Any:
    """x[row] = x[row] where the example's bit is set, else 0."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        place = _row(b, _data(context, b, signature, args, 0), args[1], FLOATS)
        chosen = b.select(b.bitcast(args[2], BITS), b.load(place, align=4), ir.Constant(FLOATS, None))
        b.store(chosen, place, align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.uint64), code


@intrinsic
def ones(typing: Any, bits: Any) -> Any:
    """How many bits of an integer are set."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.ctpop(args[0])

    return types.uint64(types.uint64), code


@intrinsic
def count_common(typing: Any, activity: Any, a: Any, b: Any, start: Any, end: Any) -> Any:
    """How many bits activity[a] and activity[b] have in common in the words [start, end), multiples of 8."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        ones_of_each = _function(b, "llvm.ctpop.v8i64", EIGHT, [EIGHT])
        add_up = _function(b, "llvm.vector.reduce.add.v8i64", INDEX, [EIGHT])
        ours, theirs = (_row_of(context, b, signature, args, 0, unit) for unit in (args[1], args[2]))

        def count(j: Any, total: Any) -> Any:
            words = [b.load(b.gep(b.bitcast(row, EIGHT.as_pointer()), [j]), align=8) for row in (ours, theirs)]
            return b.add(total, b.call(ones_of_each, [b.and_(*words)]))

        start, end = (b.udiv(each, INDEX(8)) for each in (args[3], args[4]))
        return b.call(add_up, [_loop(b, start, end, ir.Constant(EIGHT, None), count)])

    return types.uint64(activity, types.intp, types.intp, types.intp, types.intp), code


# Pieces of intermediate code. `b` is llvmlite's builder.


def _data(context: Any, b: Any, signature: Any, args: Any, position: int) -> Any:
    """The address of an array's first number."""
    return context.make_array(signature.args[position])(context, b, args[position]).data


def _row(b: Any, data: Any, row: Any, kind: ir.VectorType) -> Any:
    """The address of a row, as that of a vector."""
    index = row if row.type == INDEX else b.zext(row, INDEX)
    return b.bitcast(b.gep(data, [b.mul(index, INDEX(LANES))]), kind.as_pointer())


def _row_of(context: Any, b: Any, signature: Any, args: Any, position: int, row: Any) -> Any:
    """The address of a row of a C-contiguous array of whole numbers, whatever its length."""
    array = context.make_array(signature.args[position])(context, b, args[position])
    length = b.extract_value(array.shape, 1)
    return b.gep(array.data, [b.mul(row, length)])


def _splat(b: Any, number: Any) -> Any:
    """A number in every lane."""
    first = b.insert_element(ir.Constant(FLOATS, ir.Undefined), number, WORD(0))
    return b.shuffle_vector(first, ir.Constant(FLOATS, ir.Undefined), ir.Constant(WORDS, [0] * LANES))


def _function(b: Any, name: str, returns: Any, takes: list[Any]) -> Any:
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(returns, takes), name)


def _loop(b: Any, start: Any, end: Any, first: Any, step: Callable[[Any, Any], Any]) -> Any:
    """total = first; for j in range(start, end): total = step(j, total). Returns: the total."""
    before, body, after = b.block, b.append_basic_block("body"), b.append_basic_block("after")
    b.cbranch(b.icmp_signed("<", start, end), body, after)
    b.position_at_end(body)
    j, total = b.phi(INDEX), b.phi(first.type)
    later, following = step(j, total), b.add(j, INDEX(1))
    for variable, at_first, then in [(j, start, following), (total, first, later)]:
        variable.add_incoming(at_first, before)
        variable.add_incoming(then, body)
    b.cbranch(b.icmp_signed("<", following, end), body, after)
    b.position_at_end(after)
    result = b.phi(first.type)
    result.add_incoming(first, before)
    result.add_incoming(later, body)
    return result
