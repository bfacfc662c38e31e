"""``python -m api.cli``: the command without its installed script."""

from api.cli import main

main()
