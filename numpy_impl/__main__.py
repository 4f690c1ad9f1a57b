"""`python -m numpy_impl`: the article's experiment, with what the article printed beside it."""

import numpy as np

from numpy_impl import Parameters, forward, train, xor


def main() -> None:
    """Run it for both seeds and print both columns."""
    print(f"XOR with a 2-2-1 network: {xor.STEPS} full-batch steps, learning rate {xor.LEARNING_RATE}, summed loss.")
    for printed in xor.PRINTED:
        start = Parameters.from_seed(printed.seed)
        trained, losses = train(xor.INPUTS, xor.TARGETS, start, xor.LEARNING_RATE, xor.STEPS, reduction="sum")
        before = forward(xor.INPUTS, *start).S2[0]
        after = forward(xor.INPUTS, *trained).S2[0]
        solved = np.array_equal(after.round(), xor.TARGETS[:, 0])

        print(f"\nseed {printed.seed}                           here          in the article")
        print(f"loss before training  {losses[0]:>20.16f}{printed.loss_before:>24.16f}")
        print(f"loss after training   {losses[-1]:>20.16f}{printed.loss_after:>24.16f}")
        print(f"XOR                   {'solved' if solved else 'not solved':>20}{printed.verdict:>24}")
        print("\n  inputs  target      before    in the article       after    in the article")
        for row, ((x1, x2), (target,)) in enumerate(zip(xor.INPUTS, xor.TARGETS, strict=True)):
            place = printed.rows.index(row)
            print(
                f"  ({x1:.0f}, {x2:.0f})  {target:>4.0f}"
                f"    {before[row]:.8f}        {printed.predictions_before[row]:.8f}"
                f"  {after[row]:.8f}        {printed.predictions_after[place]:.8f}  in its row {place + 1}"
            )

    print("\nThe article lists its final predictions in another order than its inputs, and each seed's in its own.")
    print("In the order of the inputs, both runs give 0 1 1 0: seed 220118 has learned XOR too.")


if __name__ == "__main__":
    main()
