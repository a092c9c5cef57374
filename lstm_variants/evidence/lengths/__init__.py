"""Errors on sequences longer than those of training."""
