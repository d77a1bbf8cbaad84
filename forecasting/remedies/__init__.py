"""What to change after a failure, learned from what retries came to (port `RemedyChooser`).

`memory` (what a task that ran out of memory should hold), `success` (how likely a retry succeeds),
`options` (what could be changed), `chooser` (what is worth it).
"""
