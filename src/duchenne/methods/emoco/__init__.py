"""EmoCo: momentum contrast within each emotion, and the emotions themselves."""
