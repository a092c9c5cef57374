"""The studies of published claims, a file for each paper."""
