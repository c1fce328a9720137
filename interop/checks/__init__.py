"""Checks of pipe against Python peers: one module per group, run by `python -m checks`."""
