"""Guard pack: secrets, personal data, hidden characters and hidden text, found without a network or a model."""
