"""The Singularity Image Format: a header, a table of descriptors, and the objects they describe."""
