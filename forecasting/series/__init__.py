"""Forecasts of many hourly series at once, as quantiles that cover what they promise.

From bottom to top: `panel` (series on one clock), `rows` (what is known at an hour), `boosting`
(trees over all series), `walk` (what every method said at past origins), `combining` (one median
from many methods), `intervals` (quantiles from its errors), `replay` (all of it, chunk by chunk),
`engine` (the forecast with its evidence). Beside them: `classical` (methods of statsmodels),
`reconciling` (totals that are sums), `parallel` (workers).
"""
