"""The built-in network: two layers with W1, B1, W2, B2, an activation, a loss and its reduction."""
