"""Configs: `get_config()` files to copy, in a wheel `lstm_variants.configs`."""
