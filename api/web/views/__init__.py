"""Views: pure functions from model values to the pieces that templates lay out."""
