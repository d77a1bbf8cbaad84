"""Decides where and when tasks run, and says why."""
