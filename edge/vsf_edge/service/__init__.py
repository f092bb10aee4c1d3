"""``vsf-edge serve``: stains images for other programs on this computer, such as ImageJ, over HTTP."""
