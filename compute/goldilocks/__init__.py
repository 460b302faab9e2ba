"""Goldilocks, the toy language model whose dead tokens we watch: settings, model, update rules, training.

The recipe: a pre-norm decoder of 4 layers, 128 wide, trained on windows of 8 x 128 tokens.
`compute.goldilocks.training` runs it. Chapter: Goldilocks.
"""
