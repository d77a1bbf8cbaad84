"""Giving account of a plan: promises, sharing, explanations, and wishes that clash."""
