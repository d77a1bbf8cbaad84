"""The built-in tasks that make a model: etl, features, train, evaluate."""
