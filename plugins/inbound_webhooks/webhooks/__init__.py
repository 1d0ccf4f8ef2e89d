"""Webhooks as definitions: compiled, created, changed, and checked for readiness."""
