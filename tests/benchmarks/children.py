"""
How does the benchmark talk to the processes that it starts?

In lines of JSON: a question on their standard input, an answer on their standard output.
A child whose input ends, ends too, so that none outlives whoever started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.errors import ChildEnded

ROOT = Path(__file__).resolve().parents[2]

Answer = dict[str, Any]


class Child:
    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str]) -> None:
        self.name = " ".join((module, *arguments))
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for whoever started it, who ends it in turn.
            start_new_session=True,
        )

    def tell(self, **question: Any) -> None:
        assert self.process.stdin
        try:
            print(json.dumps(question), file=self.process.stdin, flush=True)
        except BrokenPipeError as error:
            raise ChildEnded(self.name) from error

    def hear(self) -> Answer:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise ChildEnded(self.name)
        answer: Answer = json.loads(line)
        return answer

    def ask(self, **question: Any) -> Answer:
        self.tell(**question)
        return self.hear()

    def stop(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def running(module: str, *arguments: str, **environment: str) -> Iterator[Child]:
    """Run `python -m module` until the block ends."""
    child = Child(module, *arguments, environment=environment)
    try:
        yield child
    finally:
        child.stop()


def serve(answer: Callable[[Answer], Answer]) -> None:
    """In the child: answer each question until there are no more."""
    for line in sys.stdin:
        say(answer(json.loads(line)))


def say(answer: Answer) -> None:
    """In the child: answer one question."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
