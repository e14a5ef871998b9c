"""The protocols of the providers: their requests, replies, streams and errors."""
