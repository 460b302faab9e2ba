"""Goldilocks, the small language model whose dead tokens are watched: model, training, observation, lives."""
