"""Numbers that have a name in formulas: square roots, logarithms, what π is in."""

from math import log, pi, sqrt

LOGARITHMS = {log(2): "ln 2", 1 / log(2): "1/ln 2", log(10): "ln 10", 1 / log(10): "1/ln 10"}
ROOTS = {
    value: text
    for n in range(2, 65)
    if not sqrt(n).is_integer()
    for value, text in ((sqrt(n), f"√{n}"), (1 / sqrt(n), f"1/√{n}"))
}
CIRCLE = {
    value: text
    for number, name in ((pi, "π"), (2 * pi, "2π"), (sqrt(pi), "√π"), (sqrt(2 * pi), "√(2π)"), (sqrt(2 / pi), "√(2/π)"))
    for value, text in ((number, name), (1 / number, f"1/({name})" if name == "2π" else f"1/{name}"))
}
NAMED = LOGARITHMS | ROOTS | CIRCLE  # numbers that are not written as a fraction


def written(number: float) -> str:
    """A constant as it stands in code or in a formula: √6, 1/√(2π), 0.1."""
    text = next((text for value, text in NAMED.items() if abs(abs(number) - value) < 1e-12 * value), "")
    return f"{'-' * (number < 0)}{text}" if text else f"{number:.6g}"
