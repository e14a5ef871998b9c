"""What others make of the API's document: a linter, and clients that are generated and used.
`make test-generators`; it installs npm packages into `build/`."""
