"""Deliveries: stored, previewed, replayed, back-tested and shown."""
