"""When to use interruptible (spot) machines for a task that must end by a deadline."""
