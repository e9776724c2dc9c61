"""What can go wrong with a server for development."""


class DevError(Exception):
    """Root of this package's errors."""


class ServerUnavailableError(DevError):
    """No source has the wanted server; the message lists what was tried and the cure."""


class ServerFailedError(DevError):
    """A server was started and did not become ready; the message ends with the tail of its log."""


class NotOursError(DevError):
    """Someone else started this server: it can be used, not stopped, killed or restarted."""
