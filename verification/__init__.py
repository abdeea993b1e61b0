"""The second reading: checks a saved results folder from its files alone.

It shares no code with what wrote the folder, on purpose: own parsing, own hashing, own Merkle tree, own
sums. An error in the simulation cannot hide behind the same error here.
"""

from verification.findings import Finding, Unreadable
from verification.verify import Report, verify

__all__ = ["Finding", "Report", "Unreadable", "verify"]
