"""Kinds that a cluster may have beside those that every cluster has, each with its own rights.

The settings of a cluster ask for them, and discovery decides: `spoken` says which are there. None
of the modules here knows a cluster's link, so that links may hold what they make.
"""
