"""Verification: checks that a request comes from its sender."""
