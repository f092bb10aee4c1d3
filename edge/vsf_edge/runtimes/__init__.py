"""What runs a graph: one file per runtime, each a plugin of the group ``vsf_edge``."""
