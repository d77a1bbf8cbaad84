"""What is learned from all runs at night, beside what every profile learns from the runs near it.

`features` (a run as numbers), `learned` (models of one version and what they say), `fitting` (a
refit, and whether it is better), `store` (versions in the data folder), `promises` (what was told
of runs against what they took).
"""
