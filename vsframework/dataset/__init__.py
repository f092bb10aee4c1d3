"""Raw fields to aligned, denoised patches (the paper's Fig. 2 a to c)."""
