"""Runs Berth's tasks on a managed batch service: an example of an executor plug-in."""
