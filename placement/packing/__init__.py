"""Online packing of pods onto GPU nodes whose GPUs may be shared: one pod at a time."""
