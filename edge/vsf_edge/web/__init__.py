"""The live view in a browser: a page, the pictures it shows, and the little server that sends them."""
