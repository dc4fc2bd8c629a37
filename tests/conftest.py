"""Tests compile models anew: what an earlier build left in the user's cache is not theirs."""

import os

os.environ["DPIQA_CACHE"] = ""
