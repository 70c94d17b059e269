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
def turn_tile(typing: Any, images: Any, chosen: Any, column: Any, mean: Any, scale: Any, x: Any) -> Any:
    """x[column + c, lane] = (images[chosen[lane], column + c] - mean) * scale, for c in [0, 64). Shapes: chosen (64,).

    Six times the upper 32 rows are interleaved with the lower 32. Each time the place of a number, as the twelve bits
    of its row and column, is rotated by one bit; after six, rows are columns.
    """

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        of_images, examples, rows = (_data(context, b, signature, args, i) for i in (0, 1, 5))
        kind = ir.VectorType(of_images.type.pointee, LANES)
        tile = []
        for lane in range(LANES):
            row = _row_of(context, b, signature, args, 0, b.load(b.gep(examples, [INDEX(lane)])))
            tile.append(b.load(b.bitcast(b.gep(row, [args[2]]), kind.as_pointer()), align=1))
        halves = [ir.Constant(WORDS, [first + i // 2 + LANES * (i % 2) for i in range(LANES)]) for first in (0, 32)]
        for _ in range(6):
            pairs = list(zip(tile[:32], tile[32:], strict=True))
            tile = [b.shuffle_vector(upper, lower, half) for upper, lower in pairs for half in halves]
        mean, scale = _splat(b, args[3]), _splat(b, args[4])
        for c, numbers in enumerate(tile):
            if kind != FLOATS:
                numbers = b.uitofp(numbers, FLOATS)
            place = _row(b, rows, b.add(args[2], INDEX(c)), FLOATS)
            b.store(b.fmul(b.fsub(numbers, mean), scale), place, align=4)
        return context.get_dummy_value()

    return types.void(images, chosen, types.intp, types.float32, types.float32, x), code


@intrinsic
def weighted_sum(typing: Any, x: Any, row: Any, first: Any, source: Any, weight: Any, start: Any, end: Any) -> Any:
    """x[row] = first + sum over j in [start, end) of weight[j] * x[source[j]]. The sum stays in registers."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows, sources, weights = (_data(context, b, signature, args, i) for i in (0, 3, 4))
        multiply_add = _function(b, "llvm.fma.v64f32", FLOATS, [FLOATS] * 3)

        def add(j: Any, sums: list[Any]) -> list[Any]:
            factor = _splat(b, b.load(b.gep(weights, [j])))
            theirs = b.load(_row(b, rows, b.load(b.gep(sources, [j])), FLOATS), align=4)
            return [b.call(multiply_add, [factor, theirs, *sums])]

        (total,) = _loop(b, args[5], args[6], [_splat(b, args[2])], add)
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

        def dot(j: Any, nothing: list[Any]) -> list[Any]:
            theirs = b.load(_row(b, others, b.load(b.gep(sources, [j])), FLOATS), align=4)
            product = b.fmul(ours, theirs, flags=("fast",))
            total = b.call(reduce, [ir.Constant(FLOAT, -0.0), product], fastmath=("fast",))
            place = b.gep(sums, [j])
            b.store(b.fadd(b.load(place), total), place)
            return nothing

        _loop(b, args[5], args[6], [], dot)
        return context.get_dummy_value()

    return types.void(dots, d, types.intp, x, source, types.intp, types.intp), code


@intrinsic
def sum_of_row(typing: Any, x: Any, row: Any) -> Any:
    """The sum of x[row] over the examples."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        reduce = _function(b, "llvm.vector.reduce.fadd.v64f32", FLOAT, [FLOAT, FLOATS])
        values = b.load(_row(b, _data(context, b, signature, args, 0), args[1], FLOATS), align=4)
        return b.call(reduce, [ir.Constant(FLOAT, -0.0), values], fastmath=("fast",))

    return types.float32(x, types.intp), code


@intrinsic
def add_scaled(typing: Any, x: Any, source: Any, weight: Any, row: Any, start: Any, end: Any) -> Any:
    """x[source[j]] += weight[j] * x[row], for j in [start, end); row is none of the sources."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows, sources, weights = (_data(context, b, signature, args, i) for i in (0, 1, 2))
        multiply_add = _function(b, "llvm.fma.v64f32", FLOATS, [FLOATS] * 3)
        ours = b.load(_row(b, rows, args[3], FLOATS), align=4)

        def add(j: Any, nothing: list[Any]) -> list[Any]:
            place = _row(b, rows, b.load(b.gep(sources, [j])), FLOATS)
            factor = _splat(b, b.load(b.gep(weights, [j])))
            b.store(b.call(multiply_add, [factor, ours, b.load(place, align=4)]), place, align=4)
            return nothing

        _loop(b, args[4], args[5], [], add)
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
def scale_rows(typing: Any, scaled: Any, least: Any, most: Any, x: Any, factor: Any, start: Any, end: Any) -> Any:
    """scaled[row] = x[row] * factor[row] for rows in [start, end), and the least and most of them for each example.

    NaN becomes infinity. Shapes: least, most (64,).
    """

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        products, low, high, rows, factors = (_data(context, b, signature, args, i) for i in range(5))
        infinity = _splat(b, ir.Constant(FLOAT, float("inf")))

        def multiply(row: Any, bounds: list[Any]) -> list[Any]:
            product = b.fmul(b.load(_row(b, rows, row, FLOATS), align=4), _splat(b, b.load(b.gep(factors, [row]))))
            product = b.select(b.fcmp_unordered("uno", product, product), infinity, product)
            b.store(product, _row(b, products, row, FLOATS), align=4)
            return [
                b.select(b.fcmp_ordered(comparison, product, bound), product, bound)
                for comparison, bound in zip("<>", bounds, strict=True)
            ]

        bounds = _loop(b, args[5], args[6], [infinity, b.fneg(infinity)], multiply)
        for bound, place in zip(bounds, (low, high), strict=True):
            b.store(bound, _row(b, place, INDEX(0), FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(scaled, least, most, x, factor, types.intp, types.intp), code


@intrinsic
def at_least(typing: Any, x: Any, row: Any, bounds: Any) -> Any:
    """For which examples x[row] >= bounds[0], as bits."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        values = b.load(_row(b, _data(context, b, signature, args, 0), args[1], FLOATS), align=4)
        least = b.load(_row(b, _data(context, b, signature, args, 2), INDEX(0), FLOATS), align=4)
        return b.bitcast(b.fcmp_ordered(">=", values, least), INDEX)

    return types.uint64(x, types.intp, bounds), code


@intrinsic
def count_at_least(typing: Any, counts: Any, x: Any, start: Any, end: Any, bounds: Any) -> Any:
    """counts[0] = for each example the number of rows in [start, end) with x[row] >= bounds[0], as floats."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows = _data(context, b, signature, args, 1)
        least = b.load(_row(b, _data(context, b, signature, args, 4), INDEX(0), FLOATS), align=4)

        def count(row: Any, counts: list[Any]) -> list[Any]:
            values = b.load(_row(b, rows, row, FLOATS), align=4)
            return [b.add(*counts, b.zext(b.fcmp_ordered(">=", values, least), WORDS))]

        (total,) = _loop(b, args[2], args[3], [ir.Constant(WORDS, None)], count)
        place = _row(b, _data(context, b, signature, args, 0), INDEX(0), FLOATS)
        b.store(b.uitofp(total, FLOATS), place, align=4)
        return context.get_dummy_value()

    return types.void(counts, x, types.intp, types.intp, bounds), code


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
def count_common(typing: Any, activity: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """How many bits the rows a and c of `activity` have in common, a and d, b and c, b and d.

    Four words are read for four results; one result at a time would read eight. Shapes: activity (units, a multiple of
    8), uint64.
    """

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        ones_of_each = _function(b, "llvm.ctpop.v8i64", EIGHT, [EIGHT])
        add_up = _function(b, "llvm.vector.reduce.add.v8i64", INDEX, [EIGHT])
        rows = [b.bitcast(_row_of(context, b, signature, args, 0, unit), EIGHT.as_pointer()) for unit in args[1:]]
        length = b.extract_value(context.make_array(signature.args[0])(context, b, args[0]).shape, 1)

        def count(j: Any, counts: list[Any]) -> list[Any]:
            words = [b.load(b.gep(row, [j]), align=8) for row in rows]
            pairs = [(ours, theirs) for ours in words[:2] for theirs in words[2:]]
            return [b.add(n, b.call(ones_of_each, [b.and_(*pair)])) for n, pair in zip(counts, pairs, strict=True)]

        counts = _loop(b, INDEX(0), b.udiv(length, INDEX(8)), [ir.Constant(EIGHT, None)] * 4, count)
        return context.make_tuple(b, signature.return_type, [b.call(add_up, [each]) for each in counts])

    return types.UniTuple(types.uint64, 4)(activity, types.intp, types.intp, types.intp, types.intp), code


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


def _loop(b: Any, start: Any, end: Any, first: list[Any], step: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """totals = first; for j in range(start, end): totals = step(j, totals). Returns: the totals."""
    before, body, after = b.block, b.append_basic_block("body"), b.append_basic_block("after")
    b.cbranch(b.icmp_signed("<", start, end), body, after)
    b.position_at_end(body)
    j, totals = b.phi(INDEX), [b.phi(each.type) for each in first]
    later, following = step(j, totals), b.add(j, INDEX(1))
    for variable, at_first, then in [(j, start, following), *zip(totals, first, later, strict=True)]:
        variable.add_incoming(at_first, before)
        variable.add_incoming(then, body)
    b.cbranch(b.icmp_signed("<", following, end), body, after)
    b.position_at_end(after)
    results = [b.phi(each.type) for each in first]
    for result, at_first, then in zip(results, first, later, strict=True):
        result.add_incoming(at_first, before)
        result.add_incoming(then, body)
    return results
