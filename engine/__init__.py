"""The domain, its ports and its use cases; knows no adapter."""
