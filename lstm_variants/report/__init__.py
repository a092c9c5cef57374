"""What a study shows: the comparison, its tables, the page."""
