"""How long a user waits before anything happens."""

import subprocess
import sys


class Import:
    """`import rnnbench`, without the start of the interpreter."""

    version = "1"
    warmup_time = 0

    def timeraw_import(self):
        return "import rnnbench"


class Command:
    """A command from the shell's point of view: interpreter, imports and answer."""

    version = "1"
    number = 1
    params = (["--help", "list"],)
    param_names = ("arguments",)

    def time_command(self, arguments):
        command = [sys.executable, "-m", "rnnbench.cli", *arguments.split()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
