"""Patches to trained generators (the paper's Fig. 2 d)."""
