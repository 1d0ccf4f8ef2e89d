"""The REST API below ``/webhooks/api/v1``, in the style of Airflow's REST API."""
