"""What scientists do with tables of action units afterwards; making such tables belongs to `detection`."""
