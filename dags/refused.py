"""Read by Airflow: makes no DAG; fails loudly, on a line of its own in the interface, for departments without one."""

# the words airflow and DAG let Airflow read this file
from dags.settings import find_project_folder, read_departments, refuse

refuse(read_departments(find_project_folder()).refused)
