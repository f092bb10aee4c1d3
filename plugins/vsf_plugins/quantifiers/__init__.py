"""Numbers per cell (the paper's DFI)."""
