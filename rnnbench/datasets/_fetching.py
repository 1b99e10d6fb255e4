"""Files that are fetched once, held to a checksum, and kept in the cache; or put there by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
from platformdirs import user_cache_path

from rnnbench.datasets.base import MissingData, fetching_allowed

TIMEOUT_S = 30
"""How long a server may be silent."""
_failed: dict[Path, str] = {}
"""What could not be fetched in this process and why: asking again for every trial of a sweep would take minutes."""


def cache_folder() -> Path:
    """Return the folder of fetched files: `data` below RNNBENCH_CACHE_DIR or the user's cache folder."""
    chosen = os.environ.get("RNNBENCH_CACHE_DIR")
    return (Path(chosen) if chosen else user_cache_path("rnnbench")) / "data"


def fetched(
    dataset: str, origin: str, file_name: str, sha256: str, by_hand: str, downloader: Callable[..., Any] | None = None
) -> Path:
    """Return the file's path in the cache, where it is fetched to from its origin if it is not there.

    MissingData names the data set, the file and the folder, and says what to do by hand, when it cannot be fetched or
    has another checksum. What failed once is not tried again by this process, but looked for in the folder.
    """
    folder = cache_folder()
    path = folder / file_name
    reason = "" if path.exists() else _failed.get(path, "") or ("" if fetching_allowed.get() else "not tried")
    try:
        if not reason:
            downloader = downloader or pooch.HTTPDownloader(timeout=TIMEOUT_S)
            return Path(pooch.retrieve(origin, f"sha256:{sha256}", file_name, folder, downloader=downloader))
    except (OSError, ValueError) as error:  # ValueError: the checksum is another
        reason = _failed[path] = str(error)
    raise MissingData(
        f"dataset '{dataset}' is inside {file_name}, which could not be fetched ({reason}). By hand: {by_hand}, then "
        f"put the file into {folder}; expected sha256 {sha256}"
    )


@dataclass(frozen=True)
class WebFile:
    """A file of the web by its address, its name in the cache and its SHA-256."""

    address: str
    file_name: str
    sha256: str

    def path(self, dataset: str) -> Path:
        """Return where the file is, fetched if it is not in the cache; see `fetched` for MissingData."""
        by_hand = f"download {self.address} where there is a network"
        return fetched(dataset, self.address, self.file_name, self.sha256, by_hand)
