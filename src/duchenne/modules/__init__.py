"""Network parts: backbones, encoders, normalisation."""
