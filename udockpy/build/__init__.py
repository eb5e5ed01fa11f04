"""Builds images from definition files and Dockerfiles."""
