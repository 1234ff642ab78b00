"""The start of a supervised child; its messages must not belong to `__main__`, or they could not be unpickled."""

from limner.process.child import main

main()
