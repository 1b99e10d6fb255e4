"""Weights in and out: one file per library, each imported only when called."""
