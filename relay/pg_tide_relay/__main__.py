"""``python -m pg_tide_relay``: the same as ``pg-tide``."""

from pg_tide_relay.cli import main

main()
