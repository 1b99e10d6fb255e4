"""Stock returns: can tomorrow's return of a share be told from the last weeks'?"""

from __future__ import annotations

import numpy as np

from rnnbench.datasets.google_prices import GooglePrices
from rnnbench.tasks._forecasting import Forecasting

HELD_OUT = 209  # trading days, a fifth of all


class StockReturns(Forecasting):
    """Predict the next daily log-return of Google's share. Nothing better than "no change" is expected.

    Encoding: inputs (T, B, 2): the day's log-return, 100 (ln p_t - ln p_{t-1}), and its size |.|, each of zero mean
    and unit variance over the training part.
    Target: after the last day, the next log-return, (B, 1), in standard deviations.
    Loss: mean squared error. Metric: root mean squared error in per cent. Prices themselves are never scored: they
    wander, and any model that repeats the last one looks good.
    Data: the dataset `google_prices`; the last 209 of 1,046 returns, into the crash of October 2008, are held out.
    Baseline: persistence of the price, a return of zero.
    Solved: an error at least 0.5 % smaller, about 1 % of the variance explained out of sample. If it ever happens,
    suspect the luck of one split.
    Source: Fama 1970, "Efficient Capital Markets"; Campbell & Thompson 2008 on how little can be expected.
    """

    name = "stock_returns"
    application = "stock prices"
    data = (GooglePrices,)
    metric_unit = "%"
    default_length = 20
    confirmation_size = 0  # the held-out part is all there is
    baseline_name = "a return of zero"
    margin = 0.005

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        _, closes = GooglePrices.load()
        log_prices = 100 * np.log(closes)
        returns = np.diff(log_prices, prepend=log_prices[0])
        self._series(log_prices, np.column_stack([returns, np.abs(returns)]), HELD_OUT)
