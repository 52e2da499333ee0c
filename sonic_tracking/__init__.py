"""The command `sonic`: tracks out of files, and what belongs around it."""

__all__: list[str] = []
