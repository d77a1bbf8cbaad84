"""Ranks hypotheses about what started a super-alarm."""
