"""Stains live beside the microscope from one exported file. No torch, nothing else of the project."""

__version__ = "0.1.0"
