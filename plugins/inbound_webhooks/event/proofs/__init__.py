"""The ways for a sender to show who it is."""
