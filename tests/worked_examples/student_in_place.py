"""A student's training step that returns nothing: it changes the parameters, in a dict, in place. Samples in columns.

gradgate student_in_place.py:step --step --activation tanh
"""

import numpy as np


def forward(parameters, X):
    W1, b1, W2, b2 = parameters["W1"], parameters["b1"], parameters["W2"], parameters["b2"]
    A1 = np.tanh(W1 @ X + b1)  # (hidden, batch)
    A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2)))  # (outputs, batch)
    return A1, A2


def train(parameters, X, Y, learning_rate):
    A1, A2 = forward(parameters, X)
    dZ2 = (A2 - Y) / Y.size  # (outputs, batch)
    dZ1 = parameters["W2"].T @ dZ2 * (1 - A1**2)  # (hidden, batch)
    parameters["W1"] -= learning_rate * dZ1 @ X.T  # (hidden, inputs)
    parameters["b1"] -= learning_rate * dZ1.sum(axis=1, keepdims=True)  # (hidden, 1)
    parameters["W2"] -= learning_rate * dZ2 @ A1.T  # (outputs, hidden)
    parameters["b2"] -= learning_rate * dZ2.sum(axis=1, keepdims=True)  # (outputs, 1)


def step(X, Y, W1, b1, W2, b2, learning_rate):
    """The glue: the parameters in a dict, and one step."""
    train({"W1": W1, "b1": b1, "W2": W2, "b2": b2}, X, Y, learning_rate)
