"""Faces of the engine, its client, its settings and the wiring of every part."""
