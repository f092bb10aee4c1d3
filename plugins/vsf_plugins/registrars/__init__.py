"""Where an image lies in another (the paper's localisation)."""
