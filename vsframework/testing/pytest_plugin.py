"""Loaded by every pytest run of an environment that has vsframework: it does nothing and imports nothing."""
