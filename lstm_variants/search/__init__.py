"""Searches: Optuna asks a generation, which trains as a population."""
