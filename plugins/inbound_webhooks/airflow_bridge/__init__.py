"""Everything taken from undocumented parts of Airflow, in one place."""
