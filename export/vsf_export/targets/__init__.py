"""What a trained run can be exported to: one file per target, its parameters in a file that imports no torch."""
