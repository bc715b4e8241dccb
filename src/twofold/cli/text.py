"""Format numbers as text: tables, percentages, and medians with quartiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def format_table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Format a table with a header row.

    Args:
        rows: rows of cells, with the same number of cells in each row. The first row is the header.
        left: indices of the left-aligned columns; all others are right-aligned.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def format_percent(share: float) -> str:
    """Format a fraction (0.0137) as a percentage with two decimals (1.37 %)."""
    return f"{100 * share:.2f} %"


def format_3(value: float) -> str:
    """Format a number with three significant digits, or rounded to an integer from 100 upwards: 0.0123, 4.50, 1,235."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def format_spread(figure: Mapping[str, float], write: Callable[[float], str] = format_3) -> str:
    """Format a median with its quartiles: 4.56 (4.50 to 4.61).

    Args:
        figure: ``median``, ``low`` and ``high``, as returned by `twofold_lab.benchmarks.bench.spread`.
        write: function that formats each of the three numbers.
    """
    return f"{write(figure['median'])} ({write(figure['low'])} to {write(figure['high'])})"


def machine_line(record: Mapping[str, Any]) -> str:
    """Format the precision, device, processor and number of threads of a record of measurements."""
    environment = record["environment"]
    return f"{record['precision']} on {record['device']} ({environment['processor']}, {environment['threads']} threads)"
