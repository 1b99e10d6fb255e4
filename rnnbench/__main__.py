"""`python -m rnnbench` is the command `rnnbench`."""

from __future__ import annotations

from rnnbench.cli import main

if __name__ == "__main__":
    main()
