"""What made a model: recorded by every training task, compared, and done again.

`experiments` writes and reads records; `reproducing` runs a task again from its record;
`exporting` writes records to MLflow.
"""
