"""Statistics of a few runs."""
