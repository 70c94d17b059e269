"""Pieces of LLVM intermediate code for vectors of 64 lanes. `b` is llvmlite's builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from dynsparse.engines.sparse.arrays import LANES

FLOAT, INDEX, BIT, WORD = ir.FloatType(), ir.IntType(64), ir.IntType(1), ir.IntType(32)
HALF_WORD = ir.IntType(16)
EIGHT = ir.VectorType(INDEX, 8)
FLOATS, WORDS, BITS = (ir.VectorType(kind, LANES) for kind in (FLOAT, WORD, BIT))
# A row in parts that fill one register of 512 bits each.
PART = ir.VectorType(FLOAT, 16)
N_PARTS = LANES // 16


def data_of(context: Any, b: Any, signature: Any, args: Any, position: int) -> Any:
    """Return the address of the first element of an array argument."""
    return context.make_array(signature.args[position])(context, b, args[position]).data


def row_of(b: Any, data: Any, row: Any) -> Any:
    """Return the address of a row of 64 floats, as the address of a vector."""
    index = row if row.type == INDEX else b.zext(row, INDEX)
    return b.bitcast(b.gep(data, [b.mul(index, INDEX(LANES))]), FLOATS.as_pointer())


def load_row(context: Any, b: Any, signature: Any, args: Any, position: int, row: Any) -> Any:
    """Load a row of 64 floats of an array argument."""
    return b.load(row_of(b, data_of(context, b, signature, args, position), row), align=4)


def load_parts(b: Any, data: Any, row: Any, n_parts: int) -> list[Any]:
    """Load the first parts of a row of 64 floats, vectors of 16."""
    parts = b.bitcast(row_of(b, data, row), PART.as_pointer())
    return [b.load(b.gep(parts, [INDEX(i)]), align=4) for i in range(n_parts)]


def store_parts(b: Any, values: list[Any], data: Any, row: Any) -> None:
    """Store the first parts of a row of 64 floats."""
    parts = b.bitcast(row_of(b, data, row), PART.as_pointer())
    for i, value in enumerate(values):
        b.store(value, b.gep(parts, [INDEX(i)]), align=4)


def multiply_add(b: Any, factor: Any, part: Any, total: Any) -> Any:
    """Return factor * part + total, of vectors of 16."""
    return b.call(llvm_function(b, "llvm.fma.v16f32", PART, [PART] * 3), [factor, part, total])


def partial_dot_product(b: Any, these: list[Any], those: list[Any]) -> Any:
    """Return the product of two rows, summed over their parts: 16 sums, which together are the dot product."""
    total = b.fmul(these[0], those[0])
    for this, that in zip(these[1:], those[1:], strict=True):
        total = multiply_add(b, this, that, total)
    return total


def sum_of(b: Any, part: Any) -> Any:
    """Return the sum of a vector of 16."""
    # The sum may be computed in any order. In the order of the lanes, each addition would wait for the last one.
    reduce = llvm_function(b, "llvm.vector.reduce.fadd.v16f32", FLOAT, [FLOAT, PART])
    return b.call(reduce, [ir.Constant(FLOAT, -0.0), part], fastmath=("fast",))


def sums_of_eight(b: Any, parts: list[Any]) -> Any:
    """Return the sums of eight vectors of 16, as one vector of 8, in a third of the instructions of eight `sum_of`.

    Each step adds the halves of pairs of vectors, so that half as many vectors remain. If a is a part of the sum of the
    first vector, b of the second, ..., a vector holds a b a b ... after the first step, a b c d a b c d ... after the
    second, and a b c d a b c d e f g h e f g h after the third. The last step adds the two parts of each sum.
    """
    quarters = range(0, 16, 4)
    by_value = [i for q in quarters for i in (q, q + 16, q + 1, q + 17)]
    by_pair = [i for q in quarters for i in (q, q + 1, q + 16, q + 17)]
    by_half = [*range(8), *range(16, 24)]
    for lower, distance in ((by_value, 2), (by_pair, 2), (by_half, 8)):
        pairs = zip(parts[0::2], parts[1::2], strict=True)
        parts = [_add_picked(b, *pair, lower, distance) for pair in pairs]
    (each_in_two_quarters,) = parts
    return _add_picked(b, each_in_two_quarters, each_in_two_quarters, [0, 1, 2, 3, 8, 9, 10, 11], 4)


def _add_picked(b: Any, first: Any, second: Any, picked: list[int], distance: int) -> Any:
    """Pick elements of two vectors, numbered consecutively, and add to each the element `distance` places after it."""
    indices = [[each + further for each in picked] for further in (0, distance)]
    vectors = [b.shuffle_vector(first, second, ir.Constant(ir.VectorType(WORD, len(each)), each)) for each in indices]
    return b.fadd(*vectors)


def address_of_row(context: Any, b: Any, signature: Any, args: Any, position: int, row: Any) -> Any:
    """Return the address of the first element of a row of an array argument, C-contiguous with rows of any length."""
    array = context.make_array(signature.args[position])(context, b, args[position])
    length = b.extract_value(array.shape, 1)
    return b.gep(array.data, [b.mul(row, length)])


def splat(b: Any, number: Any, vector: Any = FLOATS) -> Any:
    """Return a vector with a number in every lane."""
    first = b.insert_element(ir.Constant(vector, ir.Undefined), number, WORD(0))
    lanes = ir.VectorType(WORD, vector.count)
    return b.shuffle_vector(first, ir.Constant(vector, ir.Undefined), ir.Constant(lanes, [0] * vector.count))


def llvm_function(b: Any, name: str, returns: Any, takes: list[Any]) -> Any:
    """Return an LLVM intrinsic."""
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(returns, takes), name)


def loop(b: Any, start: Any, end: Any, initial: list[Any], step: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """Generate a loop: totals = initial; for j in range(start, end): totals = step(j, totals).

    Returns:
        The totals after the loop.
    """
    before, body, after = b.block, b.append_basic_block("body"), b.append_basic_block("after")
    b.cbranch(b.icmp_signed("<", start, end), body, after)
    b.position_at_end(body)
    j, totals = b.phi(INDEX), [b.phi(each.type) for each in initial]
    updated, next_j = step(j, totals), b.add(j, INDEX(1))
    for variable, entry, updated_value in [(j, start, next_j), *zip(totals, initial, updated, strict=True)]:
        variable.add_incoming(entry, before)
        variable.add_incoming(updated_value, body)
    b.cbranch(b.icmp_signed("<", next_j, end), body, after)
    b.position_at_end(after)
    results = [b.phi(each.type) for each in initial]
    for result, entry, updated_value in zip(results, initial, updated, strict=True):
        result.add_incoming(entry, before)
        result.add_incoming(updated_value, body)
    return results
