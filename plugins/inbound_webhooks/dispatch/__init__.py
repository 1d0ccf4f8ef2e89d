"""From a committed delivery to its DAG run."""
