"""Where live frames come from. Every class here is named by an entry point ``source.NAME``; see docs/sources.md."""
