"""Replays traces and faults against the real parts with a virtual clock."""
