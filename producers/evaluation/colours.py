"""Colours of the evaluation page; told apart in grey, too."""

MATCHED, FAKE, OTHER, ACCENT = "#3f72af", "#d1495b", "#8a6fa8", "#22313f"
