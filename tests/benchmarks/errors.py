"""
Why is nothing measured?

    UnableToMeasure
    |__ChildEnded
    |__WrongRows
"""

from __future__ import annotations


class UnableToMeasure(Exception):
    """Something that a benchmark needs is missing, or does not work as it must."""


class ChildEnded(UnableToMeasure):
    """A process of the benchmark ended before it was told to; what it said is above."""


class WrongRows(UnableToMeasure):
    """Another tenant's rows came back: what such a system costs is of no interest."""
