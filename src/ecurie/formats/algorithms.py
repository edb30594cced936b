"""Which algorithm a module's tensors belong to, and whether their shapes fit its weight.

By names and shapes only, as LyCORIS' modules, kohya's trainer and PEFT write them; the formulas are in
`adapters/deltas/`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import isqrt, prod

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

LORA, LOHA, LOKR, GLORA, IA3 = "LoRA", "LoHa", "LoKr", "GLoRA", "(IA)^3"
DIAG_OFT, BOFT, FULL, NORM, OFT = "Diag-OFT", "BOFT", "full", "norm", "OFT"

# Algorithm: the roles that tell it, each a set of alternatives; the roles that it may have besides.
TELLING: dict[str, tuple[tuple[frozenset[str], ...], frozenset[str]]] = {
    LORA: ((frozenset({"up", "down"}),), frozenset({"mid", "alpha", "dora_scale", "magnitude"})),
    LOHA: (
        (frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),),
        frozenset({"hada_t1", "hada_t2", "alpha", "dora_scale"}),
    ),
    LOKR: (
        tuple(
            frozenset(first + second)
            for first in (("lokr_w1",), ("lokr_w1_a", "lokr_w1_b"))
            for second in (("lokr_w2",), ("lokr_w2_a", "lokr_w2_b"), ("lokr_w2_a", "lokr_w2_b", "lokr_t2"))
        ),
        frozenset({"alpha", "dora_scale"}),
    ),
    GLORA: ((frozenset({"a1", "a2", "b1", "b2"}),), frozenset({"bm", "alpha"})),
    IA3: ((frozenset({"weight", "on_input"}), frozenset({"ia3_l"})), frozenset()),
    OFT: ((frozenset({"oft_R"}),), frozenset()),
    DIAG_OFT: ((frozenset({"oft_blocks"}),), frozenset({"rescale", "alpha"})),
    FULL: ((frozenset({"diff"}), frozenset({"diff", "diff_b"})), frozenset()),
    NORM: ((frozenset({"w_norm"}), frozenset({"w_norm", "b_norm"})), frozenset()),
}


def tell_algorithm(shapes: Shapes) -> str | None:
    """None when the roles make no whole set of any algorithm."""
    roles = frozenset(shapes)
    for algorithm, (sets, besides) in TELLING.items():
        if any(wanted <= roles and roles - wanted <= besides for wanted in sets):
            butterfly = algorithm == DIAG_OFT and len(shapes["oft_blocks"]) == 4
            return BOFT if butterfly else algorithm
    return None


def label(algorithm: str, roles: Collection[str]) -> str:
    """The algorithm as people call it: `LoRA`, `LoKr (DoRA)`."""
    return f"{algorithm} (DoRA)" if {"dora_scale", "magnitude"} & set(roles) else algorithm


def rank_if_fits(algorithm: str, shapes: Shapes, weight: Shape, *, has_bias: bool) -> int | None:
    """The rank (OFT: the block size; 0 where there is none) if the tensors fit such a weight, else None."""
    if (len(weight) == 1) != (algorithm == NORM):
        return None
    rank = FITS[algorithm](shapes, weight)
    fits = rank is not None and _scalar(shapes, "alpha") and _magnitude_fits(shapes, weight)
    bias = shapes.get("diff_b", shapes.get("b_norm"))
    if bias is not None:
        fits = fits and has_bias and prod(bias) == weight[0]
    return rank if fits else None


def _scalar(shapes: Shapes, role: str) -> bool:
    return role not in shapes or prod(shapes[role]) == 1


def _magnitude_fits(shapes: Shapes, weight: Shape) -> bool:
    scale = shapes.get("dora_scale")
    rows = scale is None or (prod(scale) == weight[0] and scale[:1] == (weight[0],))
    columns = scale is not None and prod(scale) == weight[1] and scale[:2] == (1, weight[1])
    return (rows or columns) and prod(shapes.get("magnitude", weight[:1])) == weight[0]


def _lora(shapes: Shapes, weight: Shape) -> int | None:
    """1×1 kernels may be left out or put in, as older files for linear layers do."""
    rank = shapes["down"][0] if shapes["down"] else 0
    inputs = prod(weight[1:])
    if "mid" in shapes:
        fits = shapes["mid"] == (rank, rank, *weight[2:]) and prod(shapes["down"]) == rank * weight[1]
    else:
        fits = prod(shapes["down"]) == rank * inputs
    fits = fits and shapes["up"][:2] == (weight[0], rank) and prod(shapes["up"]) == weight[0] * rank
    return rank if fits and rank > 0 else None


def _loha(shapes: Shapes, weight: Shape) -> int | None:
    rank = shapes["hada_w1_b"][0] if shapes["hada_w1_b"] else 0
    for half in (1, 2):
        a, b, core = shapes[f"hada_w{half}_a"], shapes[f"hada_w{half}_b"], shapes.get(f"hada_t{half}")
        if core is None:
            fits = a == (weight[0], rank) and b == (rank, prod(weight[1:]))
        else:
            fits = (a, b, core) == ((rank, weight[0]), (rank, weight[1]), (rank, rank, *weight[2:]))
        if not fits or rank == 0:
            return None
    return rank if ("hada_t1" in shapes) == ("hada_t2" in shapes) else None


def _lokr(shapes: Shapes, weight: Shape) -> int | None:
    rank = 0
    first = shapes.get("lokr_w1")
    if first is None:
        a, b = shapes["lokr_w1_a"], shapes["lokr_w1_b"]
        if len(a) != 2 or len(b) != 2 or a[1] != b[0]:
            return None
        first, rank = (a[0], b[1]), b[0]
    second = shapes.get("lokr_w2")
    if second is None:
        a, b, core = shapes["lokr_w2_a"], shapes["lokr_w2_b"], shapes.get("lokr_t2")
        if core is not None:
            if len(a) != 2 or len(b) != 2 or core != (a[0], b[0], *weight[2:]):
                return None
            second, rank = (a[1], b[1], *weight[2:]), core[0]
        else:
            if len(a) != 2 or not b or a[1] != b[0]:
                return None
            second, rank = (a[0], *b[1:]), b[0]
    fits = len(first) == 2 and len(second) >= 2 and first[0] * second[0] == weight[0]
    return rank if fits and first[1] * prod(second[1:]) == prod(weight[1:]) else None


def _glora(shapes: Shapes, weight: Shape) -> int | None:
    rank = shapes["a2"][0] if shapes["a2"] else 0
    kernel = weight[2:] if "bm" not in shapes else ()
    sizes = {"a1": weight[1] * rank, "a2": rank * weight[1], "b1": weight[0] * rank}
    sizes["b2"] = rank * weight[1] * prod(kernel)
    fits = all(prod(shapes[role]) == size for role, size in sizes.items())
    heads = {"a1": weight[1], "b1": weight[0], "b2": rank}
    fits = fits and all(shapes[role][:1] == (size,) for role, size in heads.items())
    fits = fits and all(len(shapes[role]) > 1 for role in sizes)
    fits = fits and shapes.get("bm", (rank, rank, *weight[2:])) == (rank, rank, *weight[2:])
    return rank if fits and rank > 0 else None


def _ia3(shapes: Shapes, weight: Shape) -> int | None:
    """A LyCORIS vector is for outputs or inputs by the value of `on_input`, which `adapter_file` reads."""
    vector = shapes.get("ia3_l", shapes.get("weight", ()))
    return 0 if prod(vector) in weight[:2] and _scalar(shapes, "on_input") else None


def _peft_oft(shapes: Shapes, weight: Shape) -> int | None:
    """r×(b·(b−1)/2): the upper triangles of r blocks along the inputs; one block may serve all of them."""
    if len(shapes["oft_R"]) != 2:
        return None
    number, triangle = shapes["oft_R"]
    size, inputs = (1 + isqrt(1 + 8 * triangle)) // 2, prod(weight[1:])
    fits = size > 1 and size * (size - 1) // 2 == triangle
    return size if fits and (number * size == inputs or (number == 1 and inputs % size == 0)) else None


def _oft(shapes: Shapes, weight: Shape) -> int | None:
    if len(shapes["oft_blocks"]) < 3:
        return None
    *stages, number, rows, columns = (1, *shapes["oft_blocks"])
    fits = rows == columns and rows > 0 and number * rows == weight[0]
    if len(shapes["oft_blocks"]) == 4:
        stages_used = stages[-1]
        fits = fits and stages_used > 0 and rows % 2 == 0 and weight[0] % (2 ** (stages_used - 1) * rows) == 0
    else:
        fits = fits and len(shapes["oft_blocks"]) == 3
    return rows if fits and prod(shapes.get("rescale", weight[:1])) == weight[0] else None


def _full(shapes: Shapes, weight: Shape) -> int | None:
    return 0 if shapes["diff"] == weight else None


def _norm(shapes: Shapes, weight: Shape) -> int | None:
    return 0 if prod(shapes["w_norm"]) == weight[0] else None


FITS: dict[str, Callable[[Shapes, Shape], int | None]] = {
    LORA: _lora,
    LOHA: _loha,
    LOKR: _lokr,
    GLORA: _glora,
    IA3: _ia3,
    OFT: _peft_oft,
    DIAG_OFT: _oft,
    BOFT: _oft,
    FULL: _full,
    NORM: _norm,
}
