"""One verb, one module, one function: what the verbs do, without the command line."""
