"""From the fields of a config to checked settings and grids of runs."""
