"""`make test-abuse`: strangers attack, and fifty honest users must not notice."""
