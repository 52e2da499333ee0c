"""What a command prints when it is done."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_line", "print_rows", "print_table", "print_warning"]


def print_line(text: str) -> None:
    """Print one line on stdout, not wrapped and without markup."""
    Console(soft_wrap=True, highlight=False, markup=False).print(text)


def print_rows(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values on stdout, a pair per line."""
    print_table(title, (), rows)


def print_table(
    title: str, header: Iterable[str], rows: Iterable[tuple[str, ...]]
) -> None:
    """Print a table on stdout; the first column is the name of a row.

    Values are never wrapped or cut where the output is no terminal: it may be read by
    a program.
    """
    columns = list(header)
    cells = list(rows)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        show_header=bool(columns),
        box=None,
        pad_edge=False,
        padding=(0, 3, 0, 0),
    )
    for index in range(len(columns) or max(map(len, cells), default=0)):
        table.add_column(columns[index] if columns else "", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 200)
    console.print(table)
    console.print()


def print_warning(text: str) -> None:
    """Print one line on stderr that says what to be careful with."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
        f"sonic: warning: {text}"
    )
