"""The commands of ``pg-tide``: one module per command, named after it."""
