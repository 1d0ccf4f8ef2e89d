"""Metrics, health, and the loop that background threads run in."""
