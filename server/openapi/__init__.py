"""The documentation of the API: the OpenAPI document, and the same as a page to read."""
