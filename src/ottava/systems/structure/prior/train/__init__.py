"""The torch side of naming players. Nothing that a verb reaches imports from here."""
