"""Networks that stain (the paper's pix2pix and pix2pix++)."""
