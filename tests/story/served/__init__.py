"""Tests that need the engine of the story, which ends with the last of them."""
