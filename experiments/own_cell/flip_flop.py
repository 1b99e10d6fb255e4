"""The flip-flop task: remember which way each of three switches was last thrown."""

import numpy as np

from rnnbench.tasks.base import Baseline, Batch, Task

CHANNELS = 3
RATE = 0.1


class FlipFlop(Task):
    """Say at every step, for each of three channels, the sign of its last pulse.

    Encoding: inputs (T, B, 3): a pulse of +1 or -1 in each channel at the first step, later with chance 0.1; else 0.
    Target: at every step the sign of the channel's last pulse.
    Loss: mean squared error.
    Baseline: the pulse where there is one, 0 elsewhere, is wrong by 1 at 0.9 of all steps but the first.
    Solved: an error of at most a hundredth of a target's variance, 0.01.
    Source: Sussillo & Barak 2013, "Opening the black box: low-dimensional dynamics in high-dimensional RNNs".
    """

    name = "flip_flop"
    wiring = "many-to-many"
    loss = "mse"
    metric = "mean squared error"
    metric_unit = "mse"
    higher_is_better = False
    solved_threshold = 0.01
    default_length = 50
    input_size = CHANNELS
    output_size = CHANNELS

    @property
    def baseline(self):
        """What no memory achieves."""
        error = (1 - RATE) * (self.length - 1) / self.length
        return Baseline(name="the pulse of the step, 0 without one", value=error, loss=error)

    def sample(self, rng, batch_size):
        """Return fresh pulses."""
        shape = self.length, batch_size, CHANNELS
        thrown = rng.random(shape) < RATE
        thrown[0] = True
        pulses = np.where(thrown, rng.choice([-1.0, 1.0], shape), 0.0).astype(np.float32)
        last = np.maximum.accumulate(np.where(thrown, np.arange(self.length)[:, None, None], 0))
        return Batch(inputs=pulses, targets=np.take_along_axis(pulses, last, axis=0))

    def score(self, outputs, batch):
        """Return the mean squared error of outputs (T, B, 3)."""
        return float(np.square(outputs.astype(np.float64) - batch.targets).mean())

    def baseline_outputs(self, batch):
        """Return the pulses themselves."""
        return batch.inputs
