"""Registries: the client of the OCI's distribution specification, and who the user is there."""
