"""A report on a period of a history, as one self-contained HTML file."""
