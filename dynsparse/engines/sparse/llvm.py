"""Pieces of LLVM intermediate code for vectors of 64 lanes. `b` is llvmlite's builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from dynsparse.engines.sparse.arrays import LANES

FLOAT, INDEX, BIT, WORD = ir.FloatType(), ir.IntType(64), ir.IntType(1), ir.IntType(32)
EIGHT = ir.VectorType(INDEX, 8)
FLOATS, WORDS, BITS = (ir.VectorType(kind, LANES) for kind in (FLOAT, WORD, BIT))


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


def address_of_row(context: Any, b: Any, signature: Any, args: Any, position: int, row: Any) -> Any:
    """Return the address of the first element of a row of an array argument, C-contiguous with rows of any length."""
    array = context.make_array(signature.args[position])(context, b, args[position])
    length = b.extract_value(array.shape, 1)
    return b.gep(array.data, [b.mul(row, length)])


def splat(b: Any, number: Any) -> Any:
    """Return a vector with a number in every lane."""
    first = b.insert_element(ir.Constant(FLOATS, ir.Undefined), number, WORD(0))
    return b.shuffle_vector(first, ir.Constant(FLOATS, ir.Undefined), ir.Constant(WORDS, [0] * LANES))


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
