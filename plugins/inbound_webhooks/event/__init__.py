"""A request and what is decided about it: no I/O, no clock, no framework."""
