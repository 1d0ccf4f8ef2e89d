"""Definitions as files: YAML that people keep in git, its way into the database and back."""
