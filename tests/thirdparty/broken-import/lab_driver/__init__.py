"""A plugin whose own dependency is missing."""
