"""How a data set can be divided."""

from __future__ import annotations

AUTO = "auto"
DIVISIONS = "official, grouped, ratio:K (K from 0 to 9), leave:SUBSET; auto: official where there is one, else grouped."
