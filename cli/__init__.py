"""The hand: the command line, built with Typer; tables for people, JSON for machines."""
