"""Facts about the real data that other sources state."""

import numpy as np
import pytest

from rnnbench import datasets
from rnnbench.datasets.base import MissingData


def loaded(name):
    try:
        return datasets.get(name).load()
    except MissingData as error:
        pytest.skip(str(error))


def test_japanese_vowels_are_as_their_source_describes_them():
    """Test utterances by speaker as the UCI description lists them."""
    data = loaded("japanese_vowels")
    assert data.values.shape == (640, 29, 12)
    assert (data.lengths.min(), data.lengths.max()) == (7, 29)
    assert np.bincount(data.labels[~data.held_out]).tolist() == [30] * 9
    assert np.bincount(data.labels[data.held_out]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]


def test_gun_point_series_are_normalised():
    data = loaded("gun_point")
    assert data.values.shape == (200, 150, 1)
    assert (~data.held_out).sum() == 50
    np.testing.assert_allclose(data.values.mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(data.values.std(axis=1, ddof=1), 1, atol=1e-2)


def test_google_went_public_at_100_dollars_and_fell_in_2008():
    data = loaded("google_prices")
    days = data.days.astype("datetime64[D]")
    assert (str(days[0]), str(days[-1])) == ("2004-08-19", "2008-10-14")
    assert data.closes[0] == pytest.approx(100.34)
    assert days[data.closes.argmax()].astype("datetime64[M]") == np.datetime64("2007-11")


def test_seattle_has_no_gaps_and_is_warmest_in_summer():
    data = loaded("seattle_weather")
    assert np.unique(np.diff(data.days)).tolist() == [1]
    months = data.days.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
    means = [data.highest[months == month].mean() for month in range(12)]
    assert np.argmax(means) in (6, 7)
    assert 20 < max(means) < 30


def test_co2_rises_and_peaks_in_spring():
    data = loaded("mauna_loa_co2")
    assert np.unique(np.diff(data.days)).tolist() == [7]
    assert np.isnan(data.co2).sum() == 59
    years = data.days.astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
    assert np.nanmean(data.co2[years == 1960]) == pytest.approx(317, abs=1)
    assert np.nanmean(data.co2[years == 2000]) == pytest.approx(369.5, abs=1)
    months = data.days.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
    trend = np.interp(data.days, data.days[[0, -1]], data.co2[[0, -1]])
    season = [np.nanmean((data.co2 - trend)[months == month]) for month in range(12)]
    assert np.argmax(season) in (3, 4, 5)


def test_words_have_the_valence_people_gave_them():
    data = loaded("vader_words")
    valence = dict(zip(data.words.tolist(), data.valences.tolist(), strict=True))
    assert len(valence) == data.words.size
    assert valence["good"] == 1.9
    assert valence["horrible"] == -2.5
    assert np.abs(data.valences).max() <= 4
