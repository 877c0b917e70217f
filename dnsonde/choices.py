"""Words that are data and what options choose from, apart from all that takes long to import."""

# Of findings, rising.
SEVERITIES = ("info", "low", "medium", "high", "critical")
# Of hosts between two runs; see `report.compare`.
CHANGES = ("opened", "closed", "changed", "appeared", "gone")
