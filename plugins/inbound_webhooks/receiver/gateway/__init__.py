"""The endpoint as a process of its own."""
