"""Compiles trained vsframework generators for the machine beside the microscope."""
