"""Small tools that know nothing of containers. Imports nothing of ours but errors."""
