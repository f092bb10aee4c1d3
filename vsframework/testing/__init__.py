"""Conformance contracts for plugin authors: one class per kind of component."""
