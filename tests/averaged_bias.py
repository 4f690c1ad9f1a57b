import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loss_and_grads(inputs, targets, W1, B1, W2, B2):
    S1 = sigmoid(W1 @ inputs.T + B1)
    S2 = sigmoid(W2 @ S1 + B2)
    t = targets.T
    loss = -np.mean(t * np.log(S2) + (1 - t) * np.log(1 - S2))
    dL_dG2 = (S2 - t) / t.size
    dL_dG1 = W2.T @ dL_dG2 * S1 * (1 - S1)
    dL_dW1, dL_dB1 = dL_dG1 @ inputs, dL_dG1.mean(axis=1, keepdims=True)
    dL_dW2, dL_dB2 = dL_dG2 @ S1.T, dL_dG2.sum(axis=1, keepdims=True)
    return loss, (dL_dW1, dL_dB1, dL_dW2, dL_dB2)
