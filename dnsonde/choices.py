"""Words that are data and what options choose from, apart from all that takes long to import."""

SEVERITIES = ("info", "low", "medium", "high", "critical")  # of findings, rising
CHANGES = (
    "opened",
    "closed",
    "changed",
    "appeared",
    "gone",
)  # of hosts between two runs; see `report.compare`
