"""Expressions over a request: syntax, allow-list, engine, filters, budget."""
