"""Forecasts: windows before their targets, nothing held out among what is trained on, naive errors by hand."""

import numpy as np
import pytest

from rnnbench.datasets import google_prices, mauna_loa_co2, seattle_weather
from rnnbench.datasets.base import MissingData
from rnnbench.tasks.co2_forecast import Co2Forecast
from rnnbench.tasks.stock_returns import StockReturns
from rnnbench.tasks.temperature_forecast import TemperatureForecast

HELD_OUT = {TemperatureForecast: 365, Co2Forecast: 520, StockReturns: 209}
KINDS = {"temperature": TemperatureForecast, "co2": Co2Forecast, "stock": StockReturns}


@pytest.fixture(params=KINDS)
def task(request):
    return made(KINDS[request.param])


def made(kind, *arguments):
    try:
        return kind(*arguments)
    except MissingData as error:
        pytest.skip(str(error))


def test_a_window_ends_right_before_its_target(task):
    rng = np.random.default_rng(0)
    for part in task._split:
        origins = rng.choice(part, 50)
        batch = task._windows(origins)
        for b, origin in enumerate(origins):
            window = task._features[origin - task.length + 1 : origin + 1]
            np.testing.assert_array_equal(batch.inputs[:, b], window)
            change = task._values[origin + 1] - task._values[origin]
            assert batch.targets[b, 0] * task._scale == pytest.approx(change, rel=1e-4, abs=1e-6)


def test_no_window_to_train_on_sees_a_held_out_value(task):
    """The last value that a training window or target touches lies before the first held-out target."""
    training, held_out = task._split
    assert training.max() + 1 < held_out.min() + 1
    assert task._changes[training].std() == pytest.approx(task._scale)


def test_features_are_scaled_by_the_training_part_alone(task):
    """Scaled by all of the data the means would be off by 0.018 at least; what remains is float32 rounding."""
    known = task._features[: len(task._changes) - HELD_OUT[type(task)] + 1].astype(np.float64)
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(known.std(axis=0), 1, atol=1e-6)


def test_temperature_errors_are_those_of_the_last_year():
    made(TemperatureForecast)
    highest = seattle_weather.SeattleWeather.load().highest
    year = highest[-365:]
    persistence = np.sqrt(np.mean((year - highest[-366:-1]) ** 2))
    seasonal = np.sqrt(np.mean((year - highest[-730:-365]) ** 2))
    task = TemperatureForecast()
    assert task.baseline.value == pytest.approx(persistence, rel=1e-6)
    assert set(task.references) == {"seasonal_naive", "linear"}
    assert task.references["seasonal_naive"] == pytest.approx(seasonal)
    assert task.references["linear"] < persistence
    assert task.solved_threshold == pytest.approx(0.95 * task.references["linear"], rel=1e-6)


def test_a_linear_forecast_is_fitted_to_the_training_part_alone(task):
    """scikit-learn's regression, which is shown training windows alone, makes the same error."""
    from sklearn.linear_model import LinearRegression

    training, held_out = (task._windows(origins) for origins in task._split)
    model = LinearRegression().fit(training.inputs[-1].astype(np.float64), training.targets[:, 0])
    answers = model.predict(held_out.inputs[-1].astype(np.float64))[:, None]
    assert task.references["linear"] == pytest.approx(task.score(answers, held_out), rel=1e-5)


def test_a_calendar_alone_does_not_solve_the_co2_forecast():
    """The mean training change of each week of the year is about as good as the two harmonics."""
    task = made(Co2Forecast)
    training, held_out = task._split
    weeks = (mauna_loa_co2.MaunaLoaCo2.load().days % 365.2425 / 7).astype(int)
    usual = np.array([task._changes[training[weeks[training] == week]].mean() for week in range(53)])
    error = np.sqrt(np.mean((usual[weeks[held_out]] - task._changes[held_out]) ** 2))
    assert task.references["climatological_change"] == pytest.approx(error, rel=0.03)
    assert task.references["climatological_change"] < task.references["linear"] < task.baseline.value
    assert not task.solved(error)


def test_interpolated_weeks_are_no_targets():
    task = made(Co2Forecast)
    measured = np.isfinite(mauna_loa_co2.MaunaLoaCo2.load().co2)
    origins = np.concatenate(task._split)
    assert measured[origins].all()
    assert measured[origins + 1].all()


def test_returns_are_those_of_the_share():
    task = made(StockReturns)
    assert task._changes.mean() == pytest.approx(100 * np.log(362.71 / 100.34) / 1046, rel=1e-6)
    assert task.baseline.value == pytest.approx(np.sqrt(np.mean(task._changes[-209:] ** 2)), rel=1e-6)


def test_returns_do_not_depend_on_the_level_of_prices(monkeypatch):
    """Prices in cents instead of dollars: the same task, but for the rounding of logarithms."""
    task = made(StockReturns)
    days, closes = google_prices.GooglePrices.load()
    monkeypatch.setattr(google_prices.GooglePrices, "load", lambda: (days, 100 * closes))
    cents = StockReturns()
    assert cents._values[0] - task._values[0] == pytest.approx(100 * np.log(100))
    for one, other in zip(task._split, cents._split, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(task._windows(one).inputs, cents._windows(other).inputs, atol=1e-6)
        np.testing.assert_allclose(task._windows(one).targets, cents._windows(other).targets, atol=1e-6)
    assert cents.baseline.value == pytest.approx(task.baseline.value, rel=1e-6)


def test_a_margin_below_the_best_naive_error_solves_the_task(task):
    best = min(task.baseline.value, *task.references.values())
    assert task.solved((1 - task.margin) * best)
    assert not task.solved((1 - 0.99 * task.margin) * best)
