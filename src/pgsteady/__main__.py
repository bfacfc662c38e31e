"""``python -m pgsteady``."""

from pgsteady.cli.app import main

main()
