"""How a network learns: batches by seed and step, losses, the loop, checkpoints that survive any crash."""
