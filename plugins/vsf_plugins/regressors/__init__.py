"""Numbers straight from brightfield, without stains (the original study's approach)."""
