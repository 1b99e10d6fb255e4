"""Weekly carbon dioxide in the air over Mauna Loa, 1958 to 2001, from statsmodels' wheel."""

from __future__ import annotations

import csv
from typing import NamedTuple

import numpy as np

from rnnbench.datasets._wheels import installed_folder
from rnnbench.datasets.base import Dataset


class Weeks(NamedTuple):
    """A row a week."""

    days: np.ndarray
    """int64 (N,): the week's Saturday, days since 1970-01-01, without gaps"""
    co2: np.ndarray
    """float64 (N,): mole fraction of CO2, ppm; NaN in the 59 weeks without a measurement"""


class MaunaLoaCo2(Dataset[Weeks]):
    """Weekly means of CO2 in flasks of air from Mauna Loa, 2,284 weeks from 1958-03-29 to 2001-12-29.

    Keeling & Whorf 2004, Carbon Dioxide Information Analysis Center. Raises MissingData when statsmodels is not
    installed.
    """

    name = "mauna_loa_co2"
    licence = "public domain (CDIAC)"
    source = "statsmodels.datasets.co2"
    sha256 = "f1059c2713c13e1c0ccae076639fd9fe9a4cf72466b8d07f35f91a8aa75430ad"

    @classmethod
    def read(cls) -> Weeks:
        """Read the file in the package, which is not imported."""
        path = installed_folder(cls.name, "statsmodels", "statsmodels") / "datasets" / "co2" / "co2.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        dates = [f"{row['date'][:4]}-{row['date'][4:6]}-{row['date'][6:8]}" for row in rows]
        days = np.array(dates, dtype="datetime64[D]").astype(np.int64)
        return Weeks(days, np.array([float(row["co2"] or "nan") for row in rows]))
