"""`python -m limner` is the same as `limner`."""

from limner.cli import main

main()
