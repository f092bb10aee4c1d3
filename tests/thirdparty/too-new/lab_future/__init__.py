"""A plugin for a vsframework that does not exist yet."""
