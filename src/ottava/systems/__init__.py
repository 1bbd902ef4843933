"""The systems, one folder each. A new system adds its name here, and nothing else outside its folder."""

NAMES: tuple[str, ...] = ("transcription", "structure", "flow")
