"""What is right: results and gradients by autograd. Knows nothing of candidates."""
