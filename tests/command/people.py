"""Files as people write them: networks, layers, operators."""

CLASSIC = """
    import numpy as np

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def backprop(X, y, W1, b1, W2, b2):
        a1 = sigmoid(X @ W1 + b1)
        a2 = sigmoid(a1 @ W2 + b2)
        dz2 = (a2 - y) / y.size
        dz1 = dz2 @ W2.T * a1 * (1 - a1)
        return {"dW1": X.T @ dz1, "db1": dz1.sum(0), "dW2": a1.T @ dz2, "db2": dz2.sum(0), "dz1": dz1}

    def step(X, y, W1, b1, W2, b2, learning_rate):
        grads = backprop(X, y, W1, b1, W2, b2)
        W1 -= learning_rate * grads["dW1"]
        b1 -= learning_rate * grads["db1"]
        W2 -= learning_rate * grads["dW2"]
        b2 -= learning_rate * grads["db2"]

    def rebinds(X, y, W1, b1, W2, b2, learning_rate):
        W1 = W1 - learning_rate * backprop(X, y, W1, b1, W2, b2)["dW1"]

    def half_done(X, y, W1, b1, W2, b2):
        return {"dW2": backprop(X, y, W1, b1, W2, b2)["dW2"]}

    def wrong(X, y, W1, b1, W2, b2):
        return backprop(X, y, W1, b1, W2, b2) | {"dW1": 2 * backprop(X, y, W1, b1, W2, b2)["dW1"]}
"""


LAYERS = """
    def forward(x, w):
        return (x * w).sum(-1), (x, w)

    def backward(upstream, cache):
        x, w = cache
        return upstream[:, None] * w, upstream @ x

    def both(upstream, x, w):
        return (x * w).sum(-1), (upstream[:, None] * w, upstream @ x)

    def wrong(upstream, x, w):
        return (x * w).sum(-1), (upstream[:, None] * w, upstream @ x * 2)

    class Dot:
        def forward(self, x, w):
            self.x, self.w = x, w
            return (x * w).sum(-1)

        def backward(self, upstream):
            return upstream[:, None] * self.w, upstream @ self.x

    dot = Dot()
"""


OPERATORS = """
    import torch
    from torch_ref import Operator

    def make():
        return Operator(lambda x, w: (x * w).sum(-1), lambda rng, n: {"x": rng.random((n, 3)), "w": rng.random(3)})

    make_other = make

    class Dot(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return (x * w).sum(-1)

        @staticmethod
        def backward(ctx, upstream):
            x, w = ctx.saved_tensors
            return upstream[:, None] * w, upstream @ x

    class NeedsBoth(Dot):
        @staticmethod
        def backward(ctx, upstream):
            return Dot.backward(ctx, upstream) if all(ctx.needs_input_grad) else (None, None)
"""
