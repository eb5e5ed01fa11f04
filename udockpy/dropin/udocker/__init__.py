"""The command line of udocker."""
