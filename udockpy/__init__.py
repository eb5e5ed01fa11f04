"""udockpy: run containers and change images without root."""

__version__ = "0.1.0"
