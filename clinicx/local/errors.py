"""
What the local stack could not do, and why.

    LocalStackError
    |__AlreadyRunning
    |__UnableToBuild
    |__UnableToStart
    |__UnableToStop
"""

from __future__ import annotations


class LocalStackError(Exception):
    """Base of every error of the local stack; its text is for the person at the terminal."""


class AlreadyRunning(LocalStackError):
    """Another process serves this folder; nothing was started."""


class UnableToBuild(LocalStackError):
    """There is no image; what was made on the way is kept for the next attempt."""


class UnableToStart(LocalStackError):
    """A part of the stack could not be brought up; what had been started was stopped."""


class UnableToStop(LocalStackError):
    """A process of the stack is still there."""
