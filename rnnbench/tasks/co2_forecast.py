"""CO2 forecast: how much carbon dioxide will there be in the air next week?"""

from __future__ import annotations

import numpy as np

from rnnbench.datasets.mauna_loa_co2 import MaunaLoaCo2
from rnnbench.tasks._forecasting import Forecasting, time_of_year

YEAR = 52  # weeks
HELD_OUT = 10 * YEAR


class Co2Forecast(Forecasting):
    """Predict next week's CO2 over Mauna Loa from the changes of the last weeks.

    Encoding: inputs (T, B, 3): the week's change, ppm, sine and cosine of the time of the year, each of zero mean
    and unit variance over the training part. The level, which only rises, is not shown. Weeks without a
    measurement are interpolated among the inputs and never are targets.
    Target: after the last week, the change to the next, (B, 1), in standard deviations.
    Loss: mean squared error. Metric: root mean squared error in ppm.
    Data: the dataset `mauna_loa_co2`; the last 520 weeks are held out.
    Baseline: persistence, next week is as this. References are seasonal: as 52 weeks before, and this week's value
    with the change of 52 weeks before.
    Solved: an error at least 5 % smaller than the best of the three.
    Source: Keeling & Whorf 2004; naive forecasts as in Hyndman & Athanasopoulos, "Forecasting".
    """

    name = "co2_forecast"
    application = "weather forecasting"
    data = (MaunaLoaCo2,)
    metric_unit = "ppm"
    default_length = 52
    confirmation_size = 0  # the held-out part is all there is
    margin = 0.05

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        days, measured = MaunaLoaCo2.load()
        known = np.isfinite(measured)
        co2 = np.interp(days, days[known], measured[known])
        features = np.column_stack([np.diff(co2, prepend=co2[0]), time_of_year(days)])
        self._series(co2, features, HELD_OUT, known)

    @property
    def references(self) -> dict[str, float]:
        """The errors of last year's value, and of last year's change."""
        now = self._split.held_out
        last_year = self._values[now + 1 - YEAR]
        return {
            "seasonal_naive": self._error_of(last_year - self._values[now]),
            "seasonal_change": self._error_of(last_year - self._values[now - YEAR]),
        }
