"""The programs: flags, bad input in one line, exit statuses."""
