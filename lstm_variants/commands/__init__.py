"""The programs: flags, bad input in one line, exit statuses."""

from lstm_variants import console

# Before jax is imported, and opens files of its own.
console.open_descriptors()
