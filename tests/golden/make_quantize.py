"""Golden values for the quantisers of `policy`: gradients past the choice of codes, the loss of RQ-VAE with all its gradients, and
Sinkhorn's plan.

    python3 tests/golden/make_quantize.py > tests/golden/quantize.json

Written against plain PyTorch operations in f64, from the formulas of the papers; nothing here is shared with the Rust code.
"""

import json
import platform
import sys

import torch

torch.set_default_dtype(torch.float64)


def wave(*shape, start=0.0, scale=1.0):
    """Numbers without pattern that are easy to write down."""
    count = 1
    for size in shape:
        count *= size
    return (scale * torch.sin(1.7 * torch.arange(count) ** 1.1 + start)).reshape(shape)


def straight_through(e, q):
    return e + (q - e).detach()


def rotation_trick(e, q):
    """Fifty et al. 2024, 2410.06424: the matrix written out, row by row, as a constant."""
    rows = []
    for row, code in zip(e, q):
        from_, to = (row / row.norm()).detach(), (code / code.norm()).detach()
        between = from_ + to
        between = between / between.norm()
        eye = torch.eye(len(row))
        matrix = eye - 2 * torch.outer(between, between) + 2 * torch.outer(to, from_)
        rows.append((code.norm() / row.norm()).detach() * (matrix @ row))
    return torch.stack(rows)


LETTER = {"width": 4, "collaborative": 0.3, "diversity": 0.7, "partners": [[1, 0, 3, 2], [2, None, 0, 0]]}


def flat(tensor):
    return tensor.detach().flatten().tolist()


def gradient_cases():
    for name, rows, width, scale in [("ordinary", 3, 4, 1.0), ("long codes", 2, 7, 20.0), ("two numbers", 3, 2, 0.5)]:
        q, weights = wave(rows, width, start=2.0, scale=scale), wave(rows, width, start=5.0)
        case = {"name": name, "width": width, "quantized": flat(q), "weights": flat(weights)}
        for key, function in [("straight_through", straight_through), ("rotation", rotation_trick)]:
            e = wave(rows, width, start=0.3).requires_grad_()
            case["encoded"] = flat(e)
            (function(e, q) * weights).sum().backward()
            case[key] = flat(e.grad)
        yield case


def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def contrast(quantized, vectors, temperature=0.1):
    """LETTER, eq. 5, in both directions."""
    logits = unit(quantized) @ unit(vectors).T / temperature
    own = torch.arange(len(logits))
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def diversity(codebook, codes, partners):
    """LETTER, eq. 6, item by item."""
    total = 0.0
    for code in codes.tolist():
        if partners[code] is not None:
            others = [other for other in range(len(codebook)) if other != code]
            logits = codebook[others] @ codebook[code]
            total = total - torch.log_softmax(logits, 0)[others.index(partners[code])]
    return total / len(codes)


def rq_vae(name, gradient, widths, levels, codes, rows, commitment=0.25, letter=None):
    def layers(widths, start):
        pairs = zip(widths[:-1], widths[1:])
        return [
            (wave(o, i, start=start + n).requires_grad_(), wave(o, start=start + n + 0.5, scale=0.1).requires_grad_())
            for n, (i, o) in enumerate(pairs)
        ]

    def forward(layers, x):
        for n, (weight, bias) in enumerate(layers):
            x = torch.nn.functional.linear(x, weight, bias)
            x = torch.relu(x) if n + 1 < len(layers) else x
        return x

    encoder, decoder = layers(widths, 0.0), layers(widths[::-1], 7.0)
    codebooks = [wave(codes, widths[-1], start=3.0 * n, scale=0.6**n).requires_grad_() for n in range(levels)]
    x = wave(rows, widths[0], start=11.0)
    z = forward(encoder, x)
    residual, total, quantization, chosen, spread = z, torch.zeros_like(z), 0.0, [], 0.0
    partners = letter["partners"] if letter else []
    mse = torch.nn.functional.mse_loss
    for level, codebook in enumerate(codebooks):
        code = torch.cdist(residual, codebook).argmin(dim=1)
        vectors = codebook[code]
        quantization = quantization + mse(vectors, residual.detach()) + commitment * mse(residual, vectors.detach())
        residual = residual - vectors.detach()
        total = total + vectors.detach()
        chosen += code.tolist()
        if partners:
            spread = spread + diversity(codebook, code, partners[level])
    function = {"straight-through": straight_through, "rotation": rotation_trick}[gradient]
    total = function(z, total)
    loss = mse(forward(decoder, total), x) + quantization / levels
    projection = []
    if letter:
        projection = layers([widths[-1], letter["width"]], 4.0)
        vectors = wave(rows, letter["width"], start=1.3)
        loss = loss + letter["collaborative"] * contrast(forward(projection, total), vectors)
        loss = loss + letter["diversity"] * spread / levels
    loss.backward()
    parameters = [p for layer in encoder + decoder + projection for p in layer] + codebooks
    written = lambda layers: [{"inputs": w.shape[1], "weight": flat(w), "bias": flat(b)} for w, b in layers]
    return {
        "name": name,
        "gradient": gradient,
        "widths": widths,
        "encoder": written(encoder),
        "decoder": written(decoder),
        "codebooks": [flat(codebook) for codebook in codebooks],
        "x": flat(x),
        "codes": chosen,
        "collaborative_weight": letter["collaborative"] if letter else 0.0,
        "diversity_weight": letter["diversity"] if letter else 0.0,
        "partners": partners,
        "collaborative": dict(written(projection)[0], vectors=flat(vectors)) if letter else None,
        "loss": loss.item(),
        "gradients": [flat(p.grad) for p in parameters],
    }


def sinkhorn(name, distances, epsilon=0.003, iterations=50):
    """As LC-Rec and MiniOneRec: centred distances, rows and columns normalised in turns, columns last."""
    d = torch.tensor(distances)
    middle = (d.max() + d.min()) / 2
    d = (d - middle) / (d.max() - middle + 1e-5)
    plan = torch.exp(-d / epsilon)
    rows, columns = plan.shape
    plan = plan / plan.sum()
    for _ in range(iterations):
        plan = plan / plan.sum(dim=1, keepdim=True) / rows
        plan = plan / plan.sum(dim=0, keepdim=True) / columns
    return {"name": name, "columns": columns, "distances": sum(distances, []), "plan": flat(plan * rows)}


if __name__ == "__main__":
    golden = {
        "about": f"PyTorch {torch.__version__}, f64, {platform.machine()}",
        "gradients": list(gradient_cases()),
        "rq_vae": [
            rq_vae("two layers", "straight-through", [6, 5, 3], 2, 4, 5),
            rq_vae("two layers, rotated", "rotation", [6, 5, 3], 2, 4, 5),
            rq_vae("one layer, three levels", "rotation", [4, 2], 3, 3, 4),
            rq_vae("letter", "straight-through", [6, 5, 3], 2, 4, 5, letter=LETTER),
        ],
        "sinkhorn": [
            sinkhorn("two items, one near code", [[0.0, 0.5, 2.0], [0.1, 0.7, 2.0]]),
            sinkhorn("more items than codes", [[1.0, 2.0], [1.5, 1.0], [3.0, 1.0], [0.5, 2.5]]),
        ],
    }
    json.dump(golden, sys.stdout, indent=1)
    print()
