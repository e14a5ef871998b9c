"""The processes of a server: the command line, the supervisor, its workers, the bundled Valkey."""
