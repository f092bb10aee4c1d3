"""Quality gates: what an image of one cell must look like for a number to be given; NumPy and OpenCV only.

A gate measures; which values are accepted was learnt from the training data and stands in the trust table
(:mod:`vsf_edge.trust`). Each room holds one gate.
"""
