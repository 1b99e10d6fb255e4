from __future__ import annotations

import numba
import numpy as np
import pytest
from implementations.fakes import Twin

from rnnbench.backends.compile_events import Compilations
from rnnbench.implementations import timing
from rnnbench.implementations.timing import Sampler, settle


class Clock:
    """Stands for the module `time`: nothing passes but what is slept, and CPU is used until `busy_until`."""

    def __init__(self, busy_until: float = 0.0) -> None:
        self.now, self.cpu, self.busy_until = 0.0, 0.0, busy_until

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.cpu

    def sleep(self, seconds: float) -> None:
        self.cpu += max(0.0, min(seconds, self.busy_until - self.now))
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


class Call:
    """Counts itself, takes a time on the clock, and "compiles" in the calls of the given numbers; the first is 1."""

    def __init__(self, clock: Clock, seconds: float, compiles_in: tuple[int, ...] = ()) -> None:
        self.clock, self.seconds, self.compiles_in = clock, seconds, compiles_in
        self.compilations, self.count = Compilations(), 0

    def __call__(self) -> None:
        self.count += 1
        self.compilations.count += self.count in self.compiles_in
        self.clock.sleep(self.seconds)


def test_a_sample_is_as_many_calls_as_it_takes(clock: Clock) -> None:
    call = Call(clock, 1e-3)
    sampler = Sampler(call, shortest_s=10e-3)
    sampler.calibrate()
    assert 10 <= sampler.calls <= 12
    before = call.count
    assert sampler.sample() == pytest.approx(1e-3)
    assert call.count == before + 1 + sampler.calls  # one to warm the caches


def test_many_calls_are_found_in_a_few_steps(clock: Clock) -> None:
    call = Call(clock, 1e-7)
    sampler = Sampler(call, shortest_s=10e-3)
    sampler.calibrate()
    assert 100_000 <= sampler.calls <= 120_000
    assert call.count < 3 * sampler.calls


def test_a_call_long_enough_warms_its_own_caches(clock: Clock) -> None:
    call = Call(clock, timing.LONG_CALL_S)
    sampler = Sampler(call)
    sampler.calibrate()
    before = call.count
    assert sampler.sample() == timing.LONG_CALL_S
    assert call.count == before + 1


def test_a_sample_with_a_compilation_is_thrown_away_and_taken_again(clock: Clock) -> None:
    call = Call(clock, 0.1, compiles_in=(4,))  # 1, 2: calibration; 3: warm up; 4: the sample
    sampler = Sampler(call, call.compilations)
    sampler.calibrate()
    sampler.sample()
    assert (sampler.discarded, call.count) == (1, 6)
    sampler.sample()
    assert (sampler.discarded, call.count) == (1, 8)


def test_a_compilation_does_not_decide_how_many_calls_a_sample_has(clock: Clock) -> None:
    call = Call(clock, 1e-3, compiles_in=(2, 4))
    sampler = Sampler(call, call.compilations, shortest_s=10e-3)
    sampler.calibrate()
    assert 10 <= sampler.calls <= 12
    assert sampler.discarded == 0


def test_a_call_that_always_compiles_is_an_error(clock: Clock) -> None:
    call = Call(clock, 1e-3, compiles_in=tuple(range(100)))
    with pytest.raises(RuntimeError, match="Numba compiled during each of 10 samples in a row"):
        Sampler(call, call.compilations).calibrate()


@pytest.mark.compiled
def test_what_numba_compiles_late_is_found() -> None:
    @numba.njit
    def double(x: object) -> object:
        return x + x  # type: ignore[operator]

    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        double(np.float32(1) if calls == 4 else 1)

    double(1)
    with Compilations() as compilations:
        sampler = Sampler(call, compilations, shortest_s=1e-12)
        sampler.calibrate()
        seconds = sampler.sample()
    assert sampler.discarded == compilations.count == 1
    assert seconds < compilations.seconds


def test_settling_waits_for_threads_that_spin(clock: Clock) -> None:
    clock.busy_until = 0.3
    assert settle()
    assert 0.3 < clock.now < 0.3 + 3 * timing.QUIET_S


def test_settling_takes_no_longer_where_all_is_quiet(clock: Clock) -> None:
    assert settle()
    assert clock.now == timing.QUIET_S


def test_settling_gives_up_on_threads_that_never_stop(clock: Clock) -> None:
    clock.busy_until = 1e9
    assert not settle()
    assert timing.LONGEST_WAIT_S <= clock.now < timing.LONGEST_WAIT_S + 2 * timing.QUIET_S


def test_samples_whose_threads_never_stop_are_counted(clock: Clock) -> None:
    side = timing.Side(Twin)
    side.sampler = Sampler(Call(clock, 1e-3))
    assert side.sample().unsettled == 0
    clock.busy_until = 1e9
    assert [side.sample().unsettled for _ in range(2)] == [1, 2]
