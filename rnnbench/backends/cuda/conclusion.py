"""Kernels that say what became of a step of training: its loss, the norm of the gradient, and how it is clipped.

Rows of outputs as in rnnbench/losses.py, in float64 as there; sums in one order, whatever the device does:

    answer      adds the readout's bias to the outputs, writes dL/d(outputs) and each row's part of the loss
    square      each thread's part of the sums of squares: of the gradient, of it clipped by value, and how much was
    conclude    one block adds up all parts; it writes the record of the step, and `control` for the update
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnbench.backends.cuda.pointwise import HALTED, SCALE

RECORD = 3
"""Numbers a step: loss, norm of the gradient, whether it was clipped."""
SUMS = 3
"""Of squares, of squares clipped by value, and of numbers that were clipped by value."""
NUMBERS_ARGUMENTS = (
    "outputs: number[]", "bias: number[]", "targets: number[]", "counts: int32[]", "d_outputs: number[]",
    "losses: float64[]", "rows: int32", "size: int32", "share: float64",
)  # fmt: skip
CLASSES_ARGUMENTS = tuple(each.replace("targets: number[]", "targets: int32[]") for each in NUMBERS_ARGUMENTS)
SQUARE_ARGUMENTS = ("gradient: number[]", "parts: float64[]", "size: int32", "clip_value: number")
CONCLUDE_ARGUMENTS = (
    "losses: float64[]", "parts: float64[]", "sums: float64[]", "control: float64[]", "records: float64[]",
    "rows: int32", "count: int32", "step: int32", "share: float64", "clip_norm: float64", "clip_value: float64",
)  # fmt: skip


def numbers_kernel(tools: Any, dtype: np.dtype, threads: int) -> Any:
    """Return the kernel of mse, a row a thread; `share` is 1 over the numbers that count."""
    cuda, index, double, number = tools.cuda, tools.index, tools.float64, tools.number_type(dtype)
    none, two = double(0), double(2)

    def answer(outputs, bias, targets, counts, d_outputs, losses, rows, size, share):
        row = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if row < rows:
            total = none
            for k in range(size):
                at = row * size + k
                difference = none
                if counts[index(row)]:
                    difference = double(outputs[index(at)] + bias[index(k)]) - double(targets[index(at)])
                total += difference * difference
                d_outputs[index(at)] = number(two * difference * share)
            losses[index(row)] = total

    return answer


def classes_kernel(tools: Any, dtype: np.dtype, threads: int) -> Any:
    """Return the kernel of cross_entropy, a row a thread; `share` is 1 over the rows that count."""
    cuda, index, double, number = tools.cuda, tools.index, tools.float64, tools.number_type(dtype)
    none, one = double(0), double(1)

    def answer(outputs, bias, targets, counts, d_outputs, losses, rows, size, share):
        row = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if row < rows:
            start, loss = row * size, none
            if counts[index(row)]:
                largest = double(outputs[index(start)] + bias[0])
                for k in range(size):
                    largest = max(largest, double(outputs[index(start + k)] + bias[index(k)]))
                normalizer = none
                for k in range(size):
                    normalizer += math.exp(double(outputs[index(start + k)] + bias[index(k)]) - largest)
                target = targets[index(row)]
                for k in range(size):
                    exponential = math.exp(double(outputs[index(start + k)] + bias[index(k)]) - largest)
                    right = one if k == target else none
                    d_outputs[index(start + k)] = number((exponential / normalizer - right) * share)
                own = double(outputs[index(start + target)] + bias[index(target)])
                loss = math.log(normalizer) - (own - largest)
            else:
                for k in range(size):
                    d_outputs[index(start + k)] = number(none)
            losses[index(row)] = loss

    return answer


def blocks_of(device: Any) -> int:
    """Return the blocks that share the gradient."""
    return 2 if device.simulated else 64


def square_kernel(tools: Any, dtype: np.dtype, threads: int, blocks: int) -> Any:
    """Return the kernel; every thread of so many blocks writes its three sums, of numbers that far apart."""
    cuda, index, double = tools.cuda, tools.index, tools.float64
    none, one, apart, zero = double(0), double(1), threads * blocks, dtype.type(0)

    def square(gradient, parts, size, clip_value):
        thread = cuda.blockIdx.x * threads + cuda.threadIdx.x
        total, clipped, count = none, none, none
        at = thread
        while at < size:
            value = gradient[index(at)]
            total += double(value) * double(value)
            if clip_value > zero:
                if value > clip_value or value < -clip_value:
                    count += one
                value = min(max(value, -clip_value), clip_value)
            clipped += double(value) * double(value)
            at += apart
        parts[index(thread)] = total
        parts[index(apart + thread)] = clipped
        parts[index(2 * apart + thread)] = count

    return square


def conclude_kernel(tools: Any, threads: int) -> Any:
    """Return the kernel, for one block. A step after one that was not finite leaves no record."""
    cuda, index, double = tools.cuda, tools.index, tools.float64
    none, one = double(0), double(1)

    def add_up(source, start, size, thread):
        total = none
        at = thread
        while at < size:
            total += source[index(start + at)]
            at += threads
        return total

    def whole(sums, start):
        total = none
        for k in range(threads):
            total += sums[index(start + k)]
        return total

    add_up, whole = tools.inline(add_up), tools.inline(whole)

    def conclude(losses, parts, sums, control, records, rows, count, step, share, clip_norm, clip_value):
        thread = cuda.threadIdx.x
        sums[index(thread)] = add_up(losses, 0, rows, thread)
        for k in range(SUMS):
            sums[index((k + 1) * threads + thread)] = add_up(parts, k * count, count, thread)
        cuda.syncthreads()
        if thread == 0 and control[HALTED] == none:
            loss, norm = whole(sums, 0) * share, math.sqrt(whole(sums, threads))
            remaining, clipped, scale = norm, none, one
            if clip_value > none and whole(sums, 3 * threads) > none:
                clipped, remaining = one, math.sqrt(whole(sums, 2 * threads))
            if clip_norm > none and remaining > clip_norm:
                clipped, scale = one, clip_norm / remaining
            if loss - loss != none or norm - norm != none:  # NaN or infinite
                control[HALTED] = one
            control[SCALE] = scale
            records[index(step * RECORD)] = loss
            records[index(step * RECORD + 1)] = norm
            records[index(step * RECORD + 2)] = clipped

    return conclude
