"""Profiles of tasks and sizes of services, each by a method that its own errors chose.

An estimator here learns online: `predict` says what a run will need before it starts, `update`
tells it what the run took. Both take milliseconds; only trees are fitted anew now and then.

* Training: `shapes` (what a person states of a network, and the analytic terms that follow),
  `replay` and `allocator` (its tensors, as a GPU's memory is handed out to them), `training` (GPU
  memory and GPU use with bounds).
* Duration: `runlog` (finished runs by group), `durations` (trees and recent runs, blended).
* Memory of tasks: `candidates` (point forecasts), `waste` (what a first try costs), `sizing`.
* Services: `windows` and `recommenders` (what to hold for the next hour), `rightsizing`
  (which of them, and its margin), `request_load` (what a pod needs at a rate of requests).
* Beneath all: `calibration` (quantiles of recent errors, watched and repaired), `ranges` (bad
  input).
"""
