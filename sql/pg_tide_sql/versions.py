"""The release of this program and the version of the schema that it brings."""

from typing import Final

RELEASE: Final = "0.1.0"
"""Release of the program, the same as in the package's metadata."""

SCHEMA_VERSION: Final = 1
"""Version of the schema ``tide`` that the files of ``schema/`` make.

Raised by one with each migration step: step ``NNNN_...`` leads from version NNNN - 1 to version NNNN.
"""
