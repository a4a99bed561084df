"""The clock: what Airflow runs and when. It decides nothing, remembers nothing and may be lost at any time."""
