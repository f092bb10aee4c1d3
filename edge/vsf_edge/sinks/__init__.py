"""Where results go: the built-in sinks of the live loop."""
