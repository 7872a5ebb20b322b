"""Training and scoring of the network that finds the lungs."""
