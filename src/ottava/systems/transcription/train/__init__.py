"""The torch side of transcription. Nothing that a verb reaches imports from here."""
