"""What git says, with errors that are the user's to fix."""

from __future__ import annotations

import subprocess
from pathlib import Path

from rnnbench.errors import InputError


def git(path: Path, *arguments: str, error: str = "") -> str:
    """Return what git prints in a folder; InputError with the text given, or what git says, where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(path), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError("git is not installed, or not on the PATH") from None
    if done.returncode:
        raise InputError(error or f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def top_folder(path: Path) -> Path:
    """Return the top of the working tree that a folder is in; InputError outside of one."""
    return Path(git(path, "rev-parse", "--show-toplevel", error=f"{path.resolve()}: not in a git repository"))


def full_hash(path: Path, reference: str, named: str) -> str:
    """Return the hash of a branch, tag or commit; InputError, which says where it was `named`, if there is none."""
    error = f"{named} {reference}: no branch, tag or commit of {path.resolve()}; `git fetch` may bring it"
    return git(path, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}", error=error)
