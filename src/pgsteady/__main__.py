"""``python -m pgsteady``."""

from pgsteady.cli import main

main()
