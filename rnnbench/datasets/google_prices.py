"""Daily prices of Google's share, 2004 to 2008, from Matplotlib's sample data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib import cbook

from rnnbench.datasets.base import Dataset


class Prices(NamedTuple):
    """A price a trading day."""

    days: np.ndarray
    """int64 (N,): days since 1970-01-01"""
    closes: np.ndarray
    """float64 (N,): the closing price adjusted for splits and dividends, dollars"""


class GooglePrices(Dataset[Prices]):
    """Adjusted closing prices of GOOG on 1,047 trading days, 2004-08-19 to 2008-10-14.

    They end in the crash of autumn 2008.
    """

    name = "google_prices"
    licence = "Matplotlib's (PSF-based), as part of its sample data"
    source = "matplotlib.cbook.get_sample_data('goog.npz')"
    sha256 = "7b5a7ba24b2d3103d1cafb8b2f1d078b88d882ba6c39aaedf60425da50ee47cd"

    @classmethod
    def read(cls) -> Prices:
        """Read the prices that Matplotlib ships; no network is needed."""
        rows: np.ndarray = cbook.get_sample_data("goog.npz")["price_data"]  # type: ignore[index]
        return Prices(rows["date"].astype("datetime64[D]").astype(np.int64), rows["adj_close"].astype(np.float64))
