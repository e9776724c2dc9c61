"""The fixtures of the fault campaigns, here too."""

from faults.conftest import chance, new_campaign

__all__ = ["chance", "new_campaign"]
