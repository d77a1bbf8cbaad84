"""Search of its own where every item is single, has one row, and must be placed."""
