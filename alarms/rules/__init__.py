"""What people know and statistics do not: rules from a file."""
