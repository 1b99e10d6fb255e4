"""The forward product: rows of h times the block's columns of W_hh, and the sum over the slices of H.

A thread multiplies a tile of units' gates by rows over its slice. The lanes of a warp that share columns then add up by
halves: each gives half of its sums to a partner and takes the partner's other half, until every sum of the warp is
in one lane. So n sums over s slices take n (1 - 1/s) shuffles a lane, not n log2(s). The warps' sums meet in shared
memory.
"""

from __future__ import annotations

from typing import Any

from rnnbench.backends.cuda.arrangement import WARP, Forward

EVERY_LANE = 0xFFFFFFFF


def forward_product(tools: Any, plan: Forward, first_gate: int, gates: int) -> tuple[Any, Any]:
    """Return two device functions for so many of the recurrent gates.

    multiply(shared, source, start, first_row, batch, thread)    rows of Hp numbers in source, from start on
    add_sums(shared, z, at, local_row, unit)                     z[at + g] += the product, after a synchronisation
    """
    cuda, load_quad, index = tools.cuda, tools.load_quad, tools.index
    dtype, int64, zero = tools.number_type(plan.dtype), tools.int64, plan.dtype.type(0)
    quad, quads, padded, alone = plan.quad, plan.quads, plan.padded, plan.alone
    lanes, slices, warps, columns = plan.column_lanes, plan.slices, plan.warps, plan.columns
    chunks, tile_rows, tile_units = plan.chunks, plan.tile_rows, plan.tile_units
    columns_of_tile, first_column, units = tile_units * gates, first_gate * plan.units, plan.units
    sums_at, sums = plan.offsets["sums"], plan.sums(gates)
    share, h_size = sums // slices, tile_rows * quad
    fold = halving(tools, sums, lanes, slices)

    def row_starts(starts, start, chunk, first_row, batch):
        for r in range(tile_rows):
            row = chunk * tile_rows + r
            if not alone:
                row = min(first_row + row, batch - 1)  # past the last sequence: any row, for sums that nobody reads
            starts[r] = start + row * padded

    def multiply_quad(sums_of_tile, shared, source, starts, k, column):
        h = cuda.local.array(h_size, dtype)
        w = cuda.local.array(quad, dtype)
        for r in range(tile_rows):
            load_quad(source, starts[r] + k * quad, h, r * quad)
        for c in range(columns_of_tile):
            gate, unit = c % gates, c // gates
            load_quad(shared, (k * columns + first_column + gate * units + unit * lanes + column) * quad, w, 0)
            for r in range(tile_rows):
                for i in range(quad):
                    sums_of_tile[c * tile_rows + r] += w[i] * h[r * quad + i]

    def multiply(shared, source, start, first_row, batch, thread):
        sums_of_tile = cuda.local.array(sums, dtype)
        starts = cuda.local.array(tile_rows, int64)
        lane, warp = thread % WARP, thread // WARP
        column, piece = lane % lanes, lane // lanes
        for chunk in range(chunks):
            multiply_row_starts(starts, start, chunk, first_row, batch)
            for s in range(sums):
                sums_of_tile[s] = zero
            k = warp * slices + piece
            while k < quads:
                multiply_tile(sums_of_tile, shared, source, starts, k, column)
                k += warps * slices
            fold(sums_of_tile, piece)
            to = sums_at + ((chunk * warps + warp) * lanes + column) * (sums + 1) + piece * share
            for s in range(share):
                shared[index(to + s)] = sums_of_tile[s]

    def add_sums(shared, z, at, local_row, unit):
        chunk, r = local_row // tile_rows, local_row % tile_rows
        start = sums_at + (chunk * warps * lanes + unit % lanes) * (sums + 1) + unit // lanes * gates * tile_rows + r
        for g in range(gates):
            for w in range(warps):
                z[at + g] += shared[index(start + w * lanes * (sums + 1) + g * tile_rows)]

    multiply_row_starts, multiply_tile = tools.inline(row_starts), tools.inline(multiply_quad)
    return tools.inline(multiply), tools.inline(add_sums)


def halving(tools: Any, sums: int, lanes: int, slices: int) -> Any:
    """Return a device function (sums, piece): afterwards lane `piece` has sums piece * sums / slices and on, added up.

    Each halving is a function of its own, for its numbers must be constants where sums are to stay in registers.
    """
    cuda = tools.cuda

    def done(values, piece):
        pass

    def halve(partner: int, half: int, others: Any) -> Any:
        distance = partner * lanes

        def halved(values, piece):
            upper = piece & partner != 0
            for s in range(half):
                given = values[s] if upper else values[s + half]
                own = values[s + half] if upper else values[s]
                values[s] = own + cuda.shfl_xor_sync(EVERY_LANE, given, distance)
            others(values, piece)

        return tools.inline(halved)

    fold = tools.inline(done)
    partner, half = 1, sums // slices
    while partner < slices:
        fold = halve(partner, half, fold)
        partner, half = 2 * partner, 2 * half
    return fold
