"""The commands of pgsteady, one module each, with a function ``run`` that returns the exit code.

Exit codes: 0 done or nothing found, 1 findings or failure, 2 wrong usage, 3 the environment.
"""
