"""Acridine-orange fields with known truth."""
