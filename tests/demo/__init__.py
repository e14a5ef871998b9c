"""All of it at once, without an account anywhere: a server, the doubles of all providers, a tenant
that has them, and the page of docs/example on another origin. `make demo`."""
