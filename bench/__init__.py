"""Compares the engines with a real root's chroot and other runtimes: `python3 -m bench --help`."""
