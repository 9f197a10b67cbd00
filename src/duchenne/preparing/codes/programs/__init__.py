"""What programs for coding behaviour write: ELAN, BORIS, The Observer XT, Datavyu; one module per program."""
