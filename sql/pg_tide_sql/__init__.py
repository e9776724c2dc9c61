"""What runs inside PostgreSQL: the schema ``tide`` and the statements that the relay sends.

In reading order:

versions     the release and the schema version that this program brings
files        the numbered schema files and the migration steps between schema versions
statements   the named statements of ``statements/*.sql``
"""
