"""What becomes of accepted requests: stored, previewed, replayed, back-tested, shown."""
