"""How calls to upstreams fail."""


class UpstreamError(Exception):
    """A call that failed; its text is a short reason, fit for logs. `body` is what had been read.

    UpstreamError
      Unreachable
      Failed
        TooLong
      TimedOut
    """

    body: bytes | bytearray = b""


class Unreachable(UpstreamError):
    """Nothing was sent: no address, no connection, no TLS, or an address that is refused."""


class Failed(UpstreamError):
    """Something was sent, and no reply came, or not all of it."""


class TooLong(Failed):
    """More came than is taken."""


class TimedOut(UpstreamError):
    """Something was sent, and the reply or its next part did not come in time."""
