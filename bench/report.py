"""What is printed and kept: rows with their targets and verdicts."""

import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Target:
    """A bound that a figure must keep, and the words for it."""

    at_most: float | None = None
    at_least: float | None = None

    def kept(self, figure: float) -> bool:
        """Whether `figure` is within the bound."""
        return (self.at_most is None or figure <= self.at_most) and (
            self.at_least is None or figure >= self.at_least
        )

    def __str__(self) -> str:
        return f"≤ {self.at_most:,g}" if self.at_most is not None else f"≥ {self.at_least:,g}"


@dataclass
class Row:
    """A figure: the median of its rounds."""

    name: str
    unit: str
    rounds: list[float]
    target: Target | None = None

    @property
    def figure(self) -> float:
        return statistics.median(self.rounds) if self.rounds else float("nan")

    @property
    def missed(self) -> bool:
        return self.target is not None and not self.target.kept(self.figure)

    def __str__(self) -> str:
        precision = 0 if abs(self.figure) >= 1000 else 2
        spread = (
            f"{min(self.rounds):,.{precision}f} – {max(self.rounds):,.{precision}f}" if self.rounds else ""
        )
        verdict = "" if self.target is None else f"{self.target}  {'MISSED' if self.missed else 'ok'}"
        return (
            f"{self.name:<58}{self.figure:>12,.{precision}f} {self.unit:<10} {spread:<20} {verdict}".rstrip()
        )


@dataclass
class Report:
    """Rows in the order in which they were found."""

    rows: list[Row] = field(default_factory=list)
    started: float = field(default_factory=time.time)

    def title(self, text: str) -> None:
        """Begin a section."""
        print(f"\n{text}", flush=True)

    def add(self, name: str, unit: str, rounds: list[float], target: Target | None = None) -> Row:
        """Print a row and keep it."""
        row = Row(name, unit, rounds, target)
        self.rows.append(row)
        print(f"  {row}", flush=True)
        return row

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.rows if row.missed]

    def save(self, options: dict[str, Any]) -> Path:
        """Write the rows as JSON into bench/results/."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(self.started))}.json"
        machine = {
            "cpus": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "load_average": os.getloadavg(),
        }
        rows = [asdict(row) | {"figure": row.figure, "missed": row.missed} for row in self.rows]
        content = {
            "options": options,
            "machine": machine,
            "seconds": time.time() - self.started,
            "rows": rows,
        }
        path.write_text(json.dumps(content, indent=1) + "\n")
        return path
