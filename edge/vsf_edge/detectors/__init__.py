"""Where the heads of a live frame are, within milliseconds; NumPy and OpenCV only."""
