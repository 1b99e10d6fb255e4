"""A trial that does nothing: what remains is the cost of the runner itself."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from rnnbench.probes.base import Measurement, Probe, ProbeParameters, Seeds


class NullParameters(ProbeParameters):
    """The only axis is a number that tells trials apart."""

    trial_number: int = Field(default=0, ge=0, description="tells one null trial from the next")


class Null(Probe):
    """Do nothing and report one random number: the runner's overhead, and a check that seeds reach the worker."""

    name = "null"
    Parameters = NullParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield one uniform random number."""
        yield Measurement("uniform_number", float(seeds.generator("null").uniform()), "1")
