"""The folders here are packages to install (tests/plugins/test_third_party_plugins.py), not tests to collect."""

collect_ignore_glob = ["*/*"]
