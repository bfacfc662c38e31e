"""Schema change done right, for any project on Alembic and PostgreSQL."""
