"""Runs tasks, trains, packages and serves models."""
