"""Python runs this at the start of every process of a chaos test: it is on their PYTHONPATH."""

from tests.chaos import instruments

instruments.install()
