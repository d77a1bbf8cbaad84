"""Machine reassignment: better places for running processes when every move has its price."""
