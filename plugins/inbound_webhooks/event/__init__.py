"""A request and the decision about it: no I/O, no clock, no framework."""
