"""A plugin with one misspelled hook and one good one."""
