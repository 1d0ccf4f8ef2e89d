"""Lengths that judge and tables share."""

EVENT_TYPE_CHARS = 200
