"""Codecs: how each kind of value of a document is read, written back and described."""
