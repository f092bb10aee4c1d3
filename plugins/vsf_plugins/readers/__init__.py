"""Image files that the core does not read itself."""
