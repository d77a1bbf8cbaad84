"""Chance constraints: how little is enough for tasks that rarely peak together."""
