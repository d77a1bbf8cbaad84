"""Methods that forecast one quantity of one task, each with what it would have said of past runs.

From bottom to top: `question` (what is asked, and which past runs are a test of it), `simple` (own
runs, like runs, trends, presets), `pooled` (tasks that are new), `sized` (memory by expected
waste). `forecasting.estimation` asks them all and takes the one that the tests speak for.
"""
