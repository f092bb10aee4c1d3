"""The live loop: from a camera's frames to stained, measured and tracked cells, and to whoever shows or keeps them."""
