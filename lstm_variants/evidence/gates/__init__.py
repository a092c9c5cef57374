"""What gates and states of a study's models do."""
