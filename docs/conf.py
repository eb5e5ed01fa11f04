"""Configuration of the documentation, which builds without a warning: see tests/test_docs.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "udockpy"
author = "the udockpy developers"
extensions = ["myst_parser", "udockpy_options"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
nitpicky = True
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
