"""The start of a supervised child; messages live elsewhere: those of `__main__` could not be unpickled."""

from limner.process.child import main

main()
