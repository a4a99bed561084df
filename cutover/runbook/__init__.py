"""The runbook of a cutover night and the sheet of the old site, from the same plan that the switch carries out."""
