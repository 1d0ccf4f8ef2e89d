"""Definition files: YAML for version control, imported into the database and exported from it."""
