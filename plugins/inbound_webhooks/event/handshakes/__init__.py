"""How senders make sure that a URL is theirs to call."""
