"""Measures what this package promises about speed, and writes the figures into benchmarks/README.md."""
