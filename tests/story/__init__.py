"""The story of the demo: a package, so that its fixtures end with its last test."""
