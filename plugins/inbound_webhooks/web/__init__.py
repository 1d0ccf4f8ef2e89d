"""The management pages, shown inside Airflow's own interface."""
