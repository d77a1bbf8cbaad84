"""The public Python face of Berth; nothing lives here."""
