"""Where a monitor's messages go."""
