"""Questions, answers and problems: what every face of the engine says, as frozen values."""
