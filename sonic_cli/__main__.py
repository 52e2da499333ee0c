"""`python -m sonic_cli` is `sonic`."""

from sonic_cli.main import app

app(prog_name="sonic")
