"""Forecasts: windows before their targets, nothing held out among what is trained on, naive errors by hand."""

import numpy as np
import pytest

from rnnbench.datasets import mauna_loa_co2, seattle_weather
from rnnbench.datasets.base import MissingData
from rnnbench.tasks.co2_forecast import Co2Forecast
from rnnbench.tasks.stock_returns import StockReturns
from rnnbench.tasks.temperature_forecast import TemperatureForecast

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
    cut = task._split.held_out.min()
    np.testing.assert_allclose(task._features[: cut + 1].mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(task._features[: cut + 1].std(axis=0), 1, atol=0.05)


def test_temperature_errors_are_those_of_the_last_year():
    made(TemperatureForecast)
    highest = seattle_weather.SeattleWeather.load().highest
    year = highest[-365:]
    persistence = np.sqrt(np.mean((year - highest[-366:-1]) ** 2))
    seasonal = np.sqrt(np.mean((year - highest[-730:-365]) ** 2))
    task = TemperatureForecast()
    assert task.baseline.value == pytest.approx(persistence, rel=1e-6)
    assert task.references == {"seasonal_naive": pytest.approx(seasonal)}
    assert task.solved_threshold == pytest.approx(0.95 * persistence, rel=1e-6)


def test_interpolated_weeks_are_no_targets():
    task = made(Co2Forecast)
    measured = np.isfinite(mauna_loa_co2.MaunaLoaCo2.load().co2)
    origins = np.concatenate(task._split)
    assert measured[origins].all()
    assert measured[origins + 1].all()


def test_returns_do_not_depend_on_the_level_of_prices():
    """Prices in cents instead of dollars: the same task."""
    task = made(StockReturns)
    assert task._changes.mean() == pytest.approx(100 * np.log(362.71 / 100.34) / 1046, rel=1e-6)
    assert task.baseline.value == pytest.approx(np.sqrt(np.mean(task._changes[-209:] ** 2)), rel=1e-6)


def test_a_margin_below_the_best_naive_error_solves_the_task(task):
    best = min(task.baseline.value, *task.references.values(), np.inf)
    assert task.solved((1 - task.margin) * best)
    assert not task.solved((1 - 0.99 * task.margin) * best)
