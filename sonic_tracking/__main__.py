"""`python -m sonic_tracking` is `sonic`."""

from sonic_tracking.main import app

app(prog_name="sonic")
