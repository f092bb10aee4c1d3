"""Stains to numbers that can be trusted, and the report."""
