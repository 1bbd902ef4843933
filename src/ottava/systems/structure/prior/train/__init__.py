"""The torch side of the prior over codes. Nothing that a verb reaches imports from here."""
