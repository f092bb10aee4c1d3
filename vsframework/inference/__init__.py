"""Trained generators to stains."""
