"""The built-in components of vsframework: the steps of Yilmaz et al. 2023, each a plugin."""
