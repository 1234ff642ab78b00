"""The command line: builds everything and passes it down. A file holds one command, or one group of them.

What a command needs beyond its words is imported inside it, so that `--help` answers at once.
"""

from limner.cli.commands import main

__all__ = ["main"]
