"""Everything that uses undocumented parts of Airflow."""
