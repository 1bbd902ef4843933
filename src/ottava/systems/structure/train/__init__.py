"""The torch side of structure. Nothing that a verb reaches imports from here."""
