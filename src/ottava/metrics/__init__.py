"""Metrics: truth and estimate in, numbers out. A module for each task, thin over the field's own scorers."""
