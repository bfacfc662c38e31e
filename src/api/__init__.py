"""The platform: database, services, REST, CLI and worker around the science."""
