"""Items in classes to bins under capacity, at least cost: large plans, and re-planning."""
