"""Handshakes: how senders check that a URL belongs to their user."""
