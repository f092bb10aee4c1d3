"""Microscope images in and out: pixels with their channel names, pixel size and bit depth."""
