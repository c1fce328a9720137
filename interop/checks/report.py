"""What a check is, and how its outcome is told.

A check is a function without arguments. It returns a sentence with the figure it
measured, or raises: then the check is not ok and the exception is the reason. Peers are
imported inside checks, so that an absent one is a reason too.
"""

CHECKS = {}


def check(name):
    """Registers a function as the check called name."""

    def register(function):
        CHECKS[name] = function
        return function

    return register


def run():
    """Runs the registered checks in order."""
    results = []
    for name, function in CHECKS.items():
        try:
            results.append({"name": name, "ok": True, "detail": function()})
        except Exception as e:  # whatever it is, it is the reason
            results.append(failure(name, f"{e}" if isinstance(e, Different) else f"{type(e).__name__}: {e}"))
    return results


def failure(name, why):
    return {"name": name, "ok": False, "detail": " ".join(why.split())[:400]}


class Different(Exception):
    """pipe and its peer disagree."""


def within(limit, got, want, what="max |Δ|"):
    """Compares pairs of arrays of equal shapes and tells the largest difference."""
    import numpy as np

    worst = 0.0
    for g, w in zip(got, want, strict=True):
        g, w = np.asarray(g, np.float64), np.asarray(w, np.float64)
        if g.shape != w.shape:
            raise Different(f"shape {g.shape}, the peer's {w.shape}")
        if not np.isfinite(g).all() or not np.isfinite(w).all():
            raise Different("numbers that are not finite")
        worst = max(worst, float(np.abs(g - w).max(initial=0)))
    detail = f"{what} {worst:.1e}, allowed {limit:.0e}"
    if worst > limit:
        raise Different(detail)
    return detail


def equal(got, want, what):
    """Demands equality of two sequences and tells their length."""
    got, want = list(got), list(want)
    if len(got) != len(want):
        raise Different(f"{len(got)} {what}, the peer's {len(want)}")
    for i, (g, w) in enumerate(zip(got, want)):
        if g != w:
            raise Different(f"{what}: number {i + 1} is {str(g)[:120]!r}, the peer's {str(w)[:120]!r}")
    return f"{len(got)} {what} equal"
