"""What every built-in task shares. `python -m executors.tasks KIND` runs one."""
