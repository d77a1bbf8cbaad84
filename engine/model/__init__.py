"""The vocabulary of Berth: frozen values that flow between its parts, without behaviour."""
