"""A figure, its target, and small statistics."""
import math
from dataclasses import dataclass


@dataclass
class Figure:
    """One line of the table. `target` is e.g. '>= 0.95'; without one the figure is for information."""

    what: str
    against: str
    value: float
    unit: str = ""
    target: str = ""
    detail: str = ""

    @property
    def met(self):
        if not self.target:
            return None
        sign, bound = self.target.split()[:2]
        bound = float(bound)
        return {">=": self.value >= bound, "<=": self.value <= bound, ">": self.value > bound,
                "<": self.value < bound}[sign]


def median(values):
    return percentile(values, 50)


def percentile(values, percent):
    """The value at the rank that `percent` of all values reach (nearest rank; the mean of two for an even median)."""
    ordered = sorted(values)
    if percent == 50 and len(ordered) % 2 == 0:
        return (ordered[len(ordered) // 2 - 1] + ordered[len(ordered) // 2]) / 2
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def number(value):
    """A number as a reader wants it: three significant digits, no exponent."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
