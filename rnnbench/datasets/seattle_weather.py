"""Daily weather of Seattle, 2012 to 2015, from the wheel of vega_datasets."""

from __future__ import annotations

import csv
from typing import NamedTuple

import numpy as np

from rnnbench.datasets._wheels import installed_folder
from rnnbench.datasets.base import Dataset


class Weather(NamedTuple):
    """A row a day."""

    days: np.ndarray
    """int64 (N,): days since 1970-01-01, without gaps"""
    highest: np.ndarray
    """float64 (N,): the day's highest temperature, degrees Celsius"""


class SeattleWeather(Dataset[Weather]):
    """The highest temperature of each of 1,461 days in Seattle, 2012-01-01 to 2015-12-31, as NOAA recorded it.

    Raises MissingData when vega_datasets is not installed.
    """

    name = "seattle_weather"
    licence = "public domain (NOAA); MIT (vega_datasets' copy)"
    source = "vega_datasets, seattle-weather.csv"
    sha256 = "e33b237856fa4276cddbba02a478f1bbc367c7a7b7967b7fbe381838a0ebd0dd"

    @classmethod
    def read(cls) -> Weather:
        """Read the file in the package, which is not imported."""
        path = installed_folder(cls.name, "vega_datasets", "vega_datasets") / "_data" / "seattle-weather.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        days = np.array([row["date"].replace("/", "-") for row in rows], dtype="datetime64[D]")
        return Weather(days.astype(np.int64), np.array([float(row["temp_max"]) for row in rows]))
