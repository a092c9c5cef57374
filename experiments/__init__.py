"""The programs, for whoever cloned: the work is in `lstm_variants/commands`."""
