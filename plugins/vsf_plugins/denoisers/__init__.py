"""What the background of a fluorescence patch is (the paper's denoising)."""
