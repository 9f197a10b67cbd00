"""The command line: one thin module per command, which reads flags and prints; what it does lies in another room."""
