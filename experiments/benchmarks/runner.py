"""What the runner adds to trials: sweeps of trials that do nothing, so that nothing but the runner takes time."""

import tempfile

import rnnbench


def null_sweep(trials):
    return {"name": "null-trials", "sweep": [{"probe": "null", "axes": {"seed": {"count": trials}}}]}


class InProcess:
    """A sweep run, resumed and loaded; the difference between two sizes is what a trial costs."""

    version = "1"
    number = 1
    params = ([10, 100],)
    param_names = ("trials",)

    def setup(self, trials):
        self.sweep = null_sweep(trials)
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.run().path  # so that every sample finds a finished run, and all modules imported

    def teardown(self, trials):
        self.folder.cleanup()

    def run(self, **options):
        return rnnbench.run(self.sweep, out=self.folder.name, jobs=0, progress=False, **options)

    def time_run(self, trials):
        self.run(fresh=True)

    def time_resume_finished_run(self, trials):
        self.run()

    def time_load_results(self, trials):
        rnnbench.Results.load(self.path)


class Workers:
    """The same with two worker processes: their start, the hand-over of each trial, and their end."""

    version = "1"
    number = 1
    repeat = 2
    warmup_time = 0
    params = ([10, 100],)
    param_names = ("trials",)

    def setup(self, trials):
        self.sweep = null_sweep(trials)
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self, trials):
        self.folder.cleanup()

    def time_run(self, trials):
        rnnbench.run(self.sweep, out=self.folder.name, jobs=2, progress=False, fresh=True)
