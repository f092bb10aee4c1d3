"""A plugin that offers a name which another one has."""
