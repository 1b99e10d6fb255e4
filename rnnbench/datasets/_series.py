"""Labelled time series in the `.ts` format of the UCR and UEA archives, split into training and test by the archive."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Series(NamedTuple):
    """N series of up to T steps."""

    values: np.ndarray
    """float32 (N, T, C): series, step, channel; zeros past a series' length"""
    lengths: np.ndarray
    """int64 (N,): the steps of each"""
    labels: np.ndarray
    """int64 (N,): classes from 0"""
    held_out: np.ndarray
    """bool (N,): True for the archive's test part"""


def parse(training: str, test: str) -> Series:
    """Return both parts of a set as one; each part is the text of a `.ts` file.

    After the line "@data" there is a series a line: channels separated by ":", the last of them the class; the
    values of a channel by ",". Classes are numbered in the order of their sorted names.
    """
    parts = [[line.split(":") for line in _data_lines(text)] for text in (training, test)]
    lines = [line for part in parts for line in part]
    series = [np.array([np.fromstring(channel, sep=",") for channel in line[:-1]]).T for line in lines]
    lengths = np.array([len(values) for values in series])
    padded = np.zeros((len(series), lengths.max(), series[0].shape[1]), np.float32)
    for place, values in enumerate(series):
        padded[place, : len(values)] = values
    labels = np.unique([line[-1].strip() for line in lines], return_inverse=True)[1].astype(np.int64)
    return Series(padded, lengths, labels, np.arange(len(lines)) >= len(parts[0]))


def _data_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    start = next(place for place, line in enumerate(lines) if line.lower() == "@data")
    return [line for line in lines[start + 1 :] if line]
