"""What services return and programs read: the documents behind ``--json``."""
