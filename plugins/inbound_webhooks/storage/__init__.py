"""The project's SQL, all of it."""
