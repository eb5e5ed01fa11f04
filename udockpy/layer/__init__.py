"""Trees and archives. Readers yield members, writers take them: any reader goes with any writer."""
