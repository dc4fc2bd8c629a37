"""A report over a period of a history, as one HTML file that needs nothing else."""
