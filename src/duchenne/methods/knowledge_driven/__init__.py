"""Knowledge-driven representation learning: related areas of a face look alike and predict each other."""
