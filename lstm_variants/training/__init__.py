"""Training: settings, one update, populations, the loop around them."""
