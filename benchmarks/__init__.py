"""What things cost: ours against other libraries, measured side by side."""
