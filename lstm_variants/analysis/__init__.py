"""What is read off finished runs: statistics, figures, the report."""
