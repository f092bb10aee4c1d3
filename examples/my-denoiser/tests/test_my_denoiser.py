"""my-denoiser under the contract of its kind."""

from vsframework.testing import DenoiserContract


class TestMyDenoiser(DenoiserContract):
    name = "my-denoiser"
