"""An independent checker of explanations, written from `semantics.md`, and what it is run on.

It shares the engine's documents (`engine.model`) and none of `placement`'s code: what a task
needs, which limits a pool violates, when a task fits beside others and what that costs are worked
out here once more, slowly and plainly.
"""
