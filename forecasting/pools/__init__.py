"""Forecasts of demand that learn each pool by itself; they need little of the past.

`features` (what is known at an hour), `boosting` (trees of one pool and those beside it), `rolling`
(past forecasts and their errors), `forecaster` (the choice among methods, and the quantiles).
"""
