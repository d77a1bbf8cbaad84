"""How surprising the newest value of one series is, given all that the series did before."""
