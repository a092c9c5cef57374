"""What the site has beyond Sphinx and its extensions."""
