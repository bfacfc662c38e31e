"""What a change would do, tried on a copy that is proved to be one."""
