"""What a random search shows."""
