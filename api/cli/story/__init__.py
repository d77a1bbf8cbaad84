"""The story that `berth demo` tells: the whole loop on real data, on one machine.

`workspace` lays out the files, `supervisor` keeps the engine alive, `traffic` plays the callers
of the served model, `scenes` are what happens, `telling` prints it, `director` puts the scenes in
order. The story is a user like any other: it knows the engine only through its API and CLI.
"""
