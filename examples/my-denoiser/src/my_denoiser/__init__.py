"""A denoiser for vsframework: see ``denoiser``."""
