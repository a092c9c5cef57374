"""Command-line programs: flags only; the work is in `lstm_variants`."""
