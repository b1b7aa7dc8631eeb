# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was measured, beside what was to be reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Optional


@dataclass(frozen=True)
class Target:
    """A bound on a figure."""

    limit: float
    #: True where the figure must not be below, else it must not be above.
    at_least: bool

    def met_by(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {number(self.limit)}"


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    value: float
    unit: str
    target: Optional[Target] = None
    note: str = ""

    @property
    def met(self) -> Optional[bool]:
        return None if self.target is None else self.target.met_by(self.value)

    def to_json(self) -> "dict[str, Any]":
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": None if self.target is None else str(self.target),
            "met": self.met,
            "note": self.note,
        }


@dataclass
class Group:
    """Figures that belong together, and what could not be measured of them."""

    title: str
    figures: "list[Figure]" = field(default_factory=list)
    missing: "list[str]" = field(default_factory=list)

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        target: Optional[Target] = None,
        note: str = "",
    ) -> None:
        self.figures.append(Figure(name, value, unit, target, note))

    def to_json(self) -> "dict[str, Any]":
        return {
            "title": self.title,
            "figures": [figure.to_json() for figure in self.figures],
            "missing": self.missing,
        }


def at_least(limit: float) -> Target:
    return Target(limit, at_least=True)


def at_most(limit: float) -> Target:
    return Target(limit, at_least=False)


def number(value: float) -> str:
    """Three digits that count, and all those before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(groups: Iterable[Group]) -> str:
    """The table as people read it."""
    lines = []
    for group in groups:
        lines += ["", group.title, "-" * len(group.title)]
        for figure in group.figures:
            verdict = {None: "", True: "ok", False: "MISSED"}[figure.met]
            target = "" if figure.target is None else str(figure.target)
            line = f"{figure.name:<44} {number(figure.value):>9} {figure.unit:<12}"
            line += f" {target:<10} {verdict:<7}{figure.note}"
            lines.append(line.rstrip())
        lines += [f"not measured: {text}" for text in group.missing]
    return "\n".join(lines[1:]) + "\n"
