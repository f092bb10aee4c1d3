"""Somebody else's network."""
