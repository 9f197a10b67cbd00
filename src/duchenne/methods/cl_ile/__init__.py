"""CL-ILE: supervised contrastive learning with identity-label embeddings."""
