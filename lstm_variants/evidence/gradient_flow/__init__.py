"""How gradients flow through a study's models."""
