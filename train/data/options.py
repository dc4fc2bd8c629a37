"""The ways to split a data set."""

from __future__ import annotations

AUTO = "auto"
DIVISIONS = "official, grouped, ratio:K (K from 0 to 9) or leave:SUBSET; auto: official if there is one, else grouped."
