"""Bytes in, bytes out: how a message becomes the value and the headers of a record.

Knows neither databases nor Kafka clients. Each format is held to a golden file in ``golden/``.

headers      names and order of the headers of every record
times        times as texts
documents    JSON documents whose numbers keep every digit
native       the payload's own text as the value
cloudevents  CloudEvents 1.0, binary and structured
"""
