"""Who trains the populations of a study."""
