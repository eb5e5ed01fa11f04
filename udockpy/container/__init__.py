"""From what the user asked to what is to be run: options -> Plan, as values."""
