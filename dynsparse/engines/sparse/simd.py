"""Operations on rows of 64 lanes as vector instructions. Loops compiled by Numba itself take twice as long.

A row is 64 values of 32 bits, one for each example of a block, in a C-contiguous array (rows, 64). LLVM splits it into
as many registers as the CPU's vectors need. A set of lanes is one integer of 64 bits.

Each function is written once as LLVM's intermediate code and inlined into the kernels. Indices are not checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dynsparse.engines.sparse.arrays import LANES
from dynsparse.engines.sparse.llvm import (
    BITS,
    EIGHT,
    FLOAT,
    FLOATS,
    HALF_WORD,
    INDEX,
    N_PARTS,
    PART,
    WORDS,
    address_of_row,
    data_of,
    llvm_function,
    load_parts,
    load_row,
    loop,
    multiply_add,
    partial_dot_product,
    row_of,
    splat,
    store_parts,
    sum_of,
    sums_of_eight,
)


@intrinsic
def transpose_tile(typingctx: Any, images: Any, index: Any, column: Any, scale: Any, x: Any, nonzero: Any) -> Any:
    """Set x[column + c, lane] = images[index[lane], column + c] * scale, for c in [0, 64).

    Also set nonzero[column + c] to the lanes in which the pixel is not 0.

    To transpose the tile, the upper 32 rows are interleaved with the lower 32, six times. Each time the position of a
    value, as the twelve bits of its row and column, is rotated by one bit. After six times rows have become columns.

    Shapes: images (examples, inputs), uint8 or float32; index (64,); x (inputs or more, 64); nonzero (inputs or more,).
    """

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        pixels, examples, rows, lanes = (data_of(context, b, signature, args, i) for i in (0, 1, 4, 5))
        vector = ir.VectorType(pixels.type.pointee, LANES)
        tile = []
        for lane in range(LANES):
            row = address_of_row(context, b, signature, args, 0, b.load(b.gep(examples, [INDEX(lane)])))
            tile.append(b.load(b.bitcast(b.gep(row, [args[2]]), vector.as_pointer()), align=1))
        halves = [ir.Constant(WORDS, [first + i // 2 + LANES * (i % 2) for i in range(LANES)]) for first in (0, 32)]
        for _ in range(6):
            pairs = list(zip(tile[:32], tile[32:], strict=True))
            tile = [b.shuffle_vector(upper, lower, half) for upper, lower in pairs for half in halves]
        scale, zeros = splat(b, args[3]), ir.Constant(vector, None)
        for c, values in enumerate(tile):
            row = b.add(args[2], INDEX(c))
            if vector == FLOATS:
                is_nonzero = b.fcmp_unordered("!=", values, zeros)
            else:
                is_nonzero, values = b.icmp_unsigned("!=", values, zeros), b.uitofp(values, FLOATS)
            b.store(b.bitcast(is_nonzero, INDEX), b.gep(lanes, [row]))
            b.store(b.fmul(values, scale), row_of(b, rows, row), align=4)
        return context.get_dummy_value()

    return types.void(images, index, types.intp, types.float32, x, nonzero), code


def _make_weighted_sum(n_parts: int) -> Any:
    @intrinsic
    def weighted_sum(
        typingctx: Any, x: Any, row: Any, bias: Any, indices: Any, weight: Any, start: Any, end: Any
    ) -> Any:
        """Set x[row] = bias + the sum of weight[j] * x[indices[j]] over j in [start, end)."""

        def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
            rows, columns, weights = (data_of(context, b, signature, args, i) for i in (0, 3, 4))

            def add(j: Any, sums: list[Any]) -> list[Any]:
                factor = splat(b, b.load(b.gep(weights, [j])), PART)
                values = load_parts(b, rows, b.load(b.gep(columns, [j])), n_parts)
                return [multiply_add(b, factor, *pair) for pair in zip(values, sums, strict=True)]

            sums = loop(b, args[5], args[6], [splat(b, args[2], PART)] * n_parts, add)
            store_parts(b, sums * (N_PARTS // n_parts), rows, args[1])
            return context.get_dummy_value()

        return types.void(x, types.intp, types.float32, indices, weight, types.intp, types.intp), code

    return weighted_sum


def _make_add_dot_products(n_parts: int) -> Any:
    @intrinsic
    def add_dot_products(
        typingctx: Any, total: Any, x: Any, row: Any, dx: Any, indices: Any, start: Any, end: Any
    ) -> Any:
        """Add to total[j] the dot product of x[row] and dx[indices[j]], for j in [start, end)."""

        def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
            totals, rows, others, columns = (data_of(context, b, signature, args, i) for i in (0, 1, 3, 4))
            ours = load_parts(b, rows, args[2], n_parts)

            def dot(j: Any, no_others: list[Any]) -> tuple[Any, list[Any]]:
                return partial_dot_product(
                    b, ours, load_parts(b, others, b.load(b.gep(columns, [j])), n_parts)
                ), no_others

            _add_sums(b, totals, args[5], args[6], [], dot)
            return context.get_dummy_value()

        return types.void(total, x, types.intp, dx, indices, types.intp, types.intp), code

    return add_dot_products


def _make_propagate_back(n_parts: int) -> Any:
    @intrinsic
    def propagate_back(
        typingctx: Any, total: Any, x: Any, row: Any, dx: Any, indices: Any, weight: Any, start: Any, end: Any
    ) -> Any:
        """Add the dot products of `add_dot_products`, and set dx[row] to the sum of weight[j] * dx[indices[j]].

        Each row is read once for both. The indices must not contain `row`.
        """

        def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
            totals, rows, others, columns, weights = (data_of(context, b, signature, args, i) for i in (0, 1, 3, 4, 5))
            ours = load_parts(b, rows, args[2], n_parts)

            def dot(j: Any, sums: list[Any]) -> tuple[Any, list[Any]]:
                theirs = load_parts(b, others, b.load(b.gep(columns, [j])), n_parts)
                factor = splat(b, b.load(b.gep(weights, [j])), PART)
                sums = [multiply_add(b, factor, *pair) for pair in zip(theirs, sums, strict=True)]
                return partial_dot_product(b, ours, theirs), sums

            zeros = [ir.Constant(PART, None)]
            sums = _add_sums(b, totals, args[6], args[7], zeros * n_parts, dot)
            store_parts(b, sums + zeros * (N_PARTS - n_parts), others, args[2])
            return context.get_dummy_value()

        return types.void(total, x, types.intp, dx, indices, weight, types.intp, types.intp), code

    return propagate_back


# The functions ending in `_half` are for blocks of up to 32 examples, and take half of the instructions. They read only
# the lower half of a row. `weighted_sum_half` writes a copy of it to the upper half, so that all lanes are finite;
# `propagate_back_half` writes zeros there, so that sums over lanes are right.
weighted_sum, weighted_sum_half = map(_make_weighted_sum, (N_PARTS, N_PARTS // 2))
add_dot_products, add_dot_products_half = map(_make_add_dot_products, (N_PARTS, N_PARTS // 2))
propagate_back, propagate_back_half = map(_make_propagate_back, (N_PARTS, N_PARTS // 2))


def _add_sums(b: Any, totals: Any, start: Any, end: Any, initial: list[Any], step: Any) -> list[Any]:
    """Generate a loop that adds to each of totals[start:end] the sum of a vector of 16, eight at a time.

    step(j, others) returns the vector for totals[j], and the next values of `others`, which begin with `initial`.

    Returns:
        The last values of `others`.
    """
    n_groups = b.sdiv(b.sub(end, start), INDEX(8))
    eight = ir.VectorType(FLOAT, 8)

    def group(i: Any, others: list[Any]) -> list[Any]:
        first, parts = b.add(start, b.mul(i, INDEX(8))), []
        for k in range(8):
            part, others = step(b.add(first, INDEX(k)), others)
            parts.append(part)
        address = b.bitcast(b.gep(totals, [first]), eight.as_pointer())
        b.store(b.fadd(b.load(address, align=4), sums_of_eight(b, parts)), address, align=4)
        return others

    def single(j: Any, others: list[Any]) -> list[Any]:
        part, others = step(j, others)
        address = b.gep(totals, [j])
        b.store(b.fadd(b.load(address), sum_of(b, part)), address)
        return others

    others = loop(b, INDEX(0), n_groups, initial, group)
    return loop(b, b.add(start, b.mul(n_groups, INDEX(8))), end, others, single)


@intrinsic
def row_sum(typingctx: Any, x: Any, row: Any) -> Any:
    """Return the sum of x[row] over the lanes."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        reduce = llvm_function(b, "llvm.vector.reduce.fadd.v64f32", FLOAT, [FLOAT, FLOATS])
        values = load_row(context, b, signature, args, 0, args[1])
        return b.call(reduce, [ir.Constant(FLOAT, -0.0), values], fastmath=("fast",))

    return types.float32(x, types.intp), code


@intrinsic
def lanes_above(typingctx: Any, x: Any, row: Any, limit: Any) -> Any:
    """Return the lanes in which x[row] > limit."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        values = load_row(context, b, signature, args, 0, args[1])
        return b.bitcast(b.fcmp_ordered(">", values, splat(b, args[2])), INDEX)

    return types.uint64(x, types.intp, types.float32), code


@intrinsic
def lanes_of_words_at_least(typingctx: Any, numbers: Any, limit: Any) -> Any:
    """Return the lanes in which a number of 16 bits, the lowest bits of each uint64 first, is at least `limit`.

    Shapes: numbers (16,), uint64; limit uint16.
    """

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        # Numba's platforms are little-endian, so the lowest bits come first in memory.
        vector = ir.VectorType(HALF_WORD, LANES)
        values = b.load(b.bitcast(data_of(context, b, signature, args, 0), vector.as_pointer()), align=8)
        return b.bitcast(b.icmp_unsigned(">=", values, splat(b, args[1], vector)), INDEX)

    return types.uint64(numbers, types.uint16), code


@intrinsic
def positive_or_nan_lanes(typingctx: Any, x: Any, row: Any) -> Any:
    """Return the lanes in which x[row] is positive or NaN."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        values = load_row(context, b, signature, args, 0, args[1])
        return b.bitcast(b.fcmp_unordered(">", values, ir.Constant(FLOATS, None)), INDEX)

    return types.uint64(x, types.intp), code


@intrinsic
def scale_rows(typingctx: Any, product: Any, low: Any, high: Any, x: Any, factor: Any, start: Any, end: Any) -> Any:
    """Set product[row] = x[row] * factor[row] for rows in [start, end), and low and high to the extremes of each lane.

    A product of NaN becomes infinity.

    Shapes: product, x (rows, 64); low, high (64,); factor (rows,).
    """

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        products, lows, highs, rows, factors = (data_of(context, b, signature, args, i) for i in range(5))
        infinity = splat(b, ir.Constant(FLOAT, float("inf")))

        def multiply(row: Any, bounds: list[Any]) -> list[Any]:
            product = b.fmul(b.load(row_of(b, rows, row), align=4), splat(b, b.load(b.gep(factors, [row]))))
            product = b.select(b.fcmp_unordered("uno", product, product), infinity, product)
            b.store(product, row_of(b, products, row), align=4)
            return [
                b.select(b.fcmp_ordered(comparison, product, bound), product, bound)
                for comparison, bound in zip("<>", bounds, strict=True)
            ]

        bounds = loop(b, args[5], args[6], [infinity, b.fneg(infinity)], multiply)
        for bound, address in zip(bounds, (lows, highs), strict=True):
            b.store(bound, row_of(b, address, INDEX(0)), align=4)
        return context.get_dummy_value()

    return types.void(product, low, high, x, factor, types.intp, types.intp), code


@intrinsic
def lanes_at_least(typingctx: Any, x: Any, row: Any, threshold: Any) -> Any:
    """Return the lanes in which x[row] >= threshold. Shapes: threshold (64,)."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        values = load_row(context, b, signature, args, 0, args[1])
        bound = load_row(context, b, signature, args, 2, INDEX(0))
        return b.bitcast(b.fcmp_ordered(">=", values, bound), INDEX)

    return types.uint64(x, types.intp, threshold), code


@intrinsic
def count_at_least(typingctx: Any, counts: Any, x: Any, start: Any, end: Any, threshold: Any) -> Any:
    """Count in each lane the rows in [start, end) with x[row] >= threshold. Shapes: counts, threshold (64,), float."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows = data_of(context, b, signature, args, 1)
        bound = load_row(context, b, signature, args, 4, INDEX(0))

        def count(row: Any, counts: list[Any]) -> list[Any]:
            values = b.load(row_of(b, rows, row), align=4)
            return [b.add(*counts, b.zext(b.fcmp_ordered(">=", values, bound), WORDS))]

        (total,) = loop(b, args[2], args[3], [ir.Constant(WORDS, None)], count)
        address = row_of(b, data_of(context, b, signature, args, 0), INDEX(0))
        b.store(b.uitofp(total, FLOATS), address, align=4)
        return context.get_dummy_value()

    return types.void(counts, x, types.intp, types.intp, threshold), code


@intrinsic
def zero_other_lanes(typingctx: Any, x: Any, row: Any, lanes: Any) -> Any:
    """Set x[row] to 0 in all lanes but the given ones."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        address = row_of(b, data_of(context, b, signature, args, 0), args[1])
        values = b.select(b.bitcast(args[2], BITS), b.load(address, align=4), ir.Constant(FLOATS, None))
        b.store(values, address, align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.uint64), code


@intrinsic
def scale_lanes(typingctx: Any, x: Any, row: Any, lanes: Any, factor: Any) -> Any:
    """Multiply x[row] by `factor` in the given lanes, and by 0 in the others."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        address = row_of(b, data_of(context, b, signature, args, 0), args[1])
        factors = b.select(b.bitcast(args[2], BITS), splat(b, args[3]), ir.Constant(FLOATS, None))
        b.store(b.fmul(b.load(address, align=4), factors), address, align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.uint64, types.float32), code


@intrinsic
def count_bits(typingctx: Any, bits: Any) -> Any:
    """Return the number of bits that are set in an integer."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.ctpop(args[0])

    return types.uint64(types.uint64), code


@intrinsic
def count_common_bits(typingctx: Any, activity: Any, a1: Any, a2: Any, b1: Any, b2: Any) -> Any:
    """Count the bits that are set in both rows of `activity`, for (a1, b1), (a1, b2), (a2, b1) and (a2, b2).

    Four words are read for four results. One result at a time would read eight.

    Shapes: activity (units, a multiple of 8), uint64.
    """

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        popcount = llvm_function(b, "llvm.ctpop.v8i64", EIGHT, [EIGHT])
        add_up = llvm_function(b, "llvm.vector.reduce.add.v8i64", INDEX, [EIGHT])
        rows = [
            b.bitcast(address_of_row(context, b, signature, args, 0, unit), EIGHT.as_pointer()) for unit in args[1:]
        ]
        length = b.extract_value(context.make_array(signature.args[0])(context, b, args[0]).shape, 1)

        def count(j: Any, counts: list[Any]) -> list[Any]:
            words = [b.load(b.gep(row, [j]), align=8) for row in rows]
            pairs = [(of_a, of_b) for of_a in words[:2] for of_b in words[2:]]
            return [b.add(n, b.call(popcount, [b.and_(*pair)])) for n, pair in zip(counts, pairs, strict=True)]

        counts = loop(b, INDEX(0), b.udiv(length, INDEX(8)), [ir.Constant(EIGHT, None)] * 4, count)
        return context.make_tuple(b, signature.return_type, [b.call(add_up, [each]) for each in counts])

    return types.UniTuple(types.uint64, 4)(activity, types.intp, types.intp, types.intp, types.intp), code
