"""Temperature forecast: how warm will it be in Seattle tomorrow?"""

from __future__ import annotations

import numpy as np

from rnnbench.datasets.seattle_weather import SeattleWeather
from rnnbench.tasks._forecasting import Forecasting, time_of_year

YEAR = 365  # days


class TemperatureForecast(Forecasting):
    """Predict tomorrow's highest temperature in Seattle from the last weeks'.

    Encoding: inputs (T, B, 4): the day's highest temperature, its change from the day before, sine and cosine of the
    time of the year, each of zero mean and unit variance over the training part.
    Target: after the last day, the change to the next day, (B, 1), in standard deviations.
    Loss: mean squared error. Metric: root mean squared error in degrees Celsius.
    Data: the dataset `seattle_weather`; the last 365 days, 2015, are held out.
    Baseline: persistence, tomorrow is as today. A reference is seasonal: as 365 days before.
    Solved: an error at least 5 % smaller than that of the better of the two.
    Source: persistence and seasonal naive as in Hyndman & Athanasopoulos, "Forecasting: Principles and Practice".
    """

    name = "temperature_forecast"
    application = "weather forecasting"
    data = (SeattleWeather,)
    metric_unit = "°C"
    default_length = 28
    confirmation_size = 0  # the held-out part is all there is
    margin = 0.05

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        days, highest = SeattleWeather.load()
        changes = np.diff(highest, prepend=highest[0])
        self._series(highest, np.column_stack([highest, changes, time_of_year(days)]), held_out=YEAR)

    @property
    def references(self) -> dict[str, float]:
        """The error of answering with the temperature of a year before."""
        now = self._split.held_out
        return {"seasonal_naive": self._error_of(self._values[now + 1 - YEAR] - self._values[now])}
