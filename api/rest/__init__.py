"""The engine over HTTP: JSON in, canonical JSON out, problem documents for errors."""
