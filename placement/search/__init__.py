"""Finding a plan: a greedy start, the CP-SAT model, exact times, and single moves."""
