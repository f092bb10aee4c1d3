"""Somebody else's working plugin."""
