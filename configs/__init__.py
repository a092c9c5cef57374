"""Configs: `get_config()` files for the programs in `experiments`."""
