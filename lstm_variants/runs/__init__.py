"""All that is on disk: files, the run directory, checkpoints; without jax."""
