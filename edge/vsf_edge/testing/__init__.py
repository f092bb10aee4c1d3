"""Contracts that hold for every plugin of a kind: what its author runs with pytest (pip install pytest)."""
