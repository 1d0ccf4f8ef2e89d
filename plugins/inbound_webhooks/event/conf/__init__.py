"""From expressions to a DAG run's ``conf``."""
