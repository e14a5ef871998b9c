"""The bundled Valkey: data that survives, one server per directory, no orphans."""
