"""Whether one model solves a task sooner than another."""
