"""Draws docs/pictures/hybrid.svg: what the newest token sees in every layer of a model, and the KV cache beside it.

Usage: docs/pictures/hybrid.py PROGRAM [FILE]
Layers, patterns and bytes are what `longgen plan smollm2-135m` says; which blocks are seen follows from the definition
in docs/pattern.md. The pages counted that way are held against the program's bytes before anything is written.
"""

import json
import pathlib
import subprocess
import sys

from svg import WIDTH, box, picture, text

MODEL = "smollm2-135m"
LAYERS = pathlib.Path(__file__).resolve().parents[2] / "recipes/plans/smollm2-135m_8k_six.json"
TOKENS = 4000  # of the layers' picture
CONTEXTS = [("4K", 4096), ("16K", 16384), ("128K", 131072)]  # of the bars
BLOCK = 64
PATTERNS = ["sink", "blocksparse"]  # names that --sparse takes

ROW, CELL = 9, 3.9  # points: height of a layer, width of a block
LEFT, TOP, PANEL_GAP = 66, 116, 34

LIGHT = """.unseen { fill: #eff2f5 } .all { fill: #1f6feb }
  .sink { fill: #bc4c00 } .window { fill: #1a7f37 } .stride { fill: #8250df }"""
DARK = """.unseen { fill: #21262d } .all { fill: #58a6ff }
    .sink { fill: #f0883e } .window { fill: #3fb950 } .stride { fill: #bc8cff }"""


def plan(program, context, sparse):
    command = [program, "plan", MODEL, "--context", str(context), "--layers", f"measured:{LAYERS}", "--sparse", sparse,
               "--device", "h200", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Hybrid:
    """What `longgen plan` says of the model at TOKENS tokens with one pattern."""

    def __init__(self, program, sparse):
        self.report = plan(program, TOKENS, sparse)
        model, layers = self.report["model"], self.report["hybrid"]["layers"]
        self.num_layers, self.num_heads = model["num_layers"], model["num_kv_heads"]
        self.full_layers = set(layers["full_layers"])
        numbers = dict(part.split("=") for part in layers["pattern"].split(","))
        self.sink, self.window, self.stride = (int(numbers[name]) for name in ("sink", "window", "stride"))
        self.page_bytes = 2 * BLOCK * model["head_size"] * 2  # K and V of a block and KV head in a layer, bfloat16

    def reason(self, layer, head, block):
        """Why the newest token sees this block of keys: a class of STYLE."""
        query_block = (TOKENS - 1) // BLOCK
        if layer in self.full_layers:
            return "all"
        if block < self.sink:
            return "sink"
        if query_block - block < self.window:
            return "window"
        offset = head * max(1, self.stride // self.num_heads) % self.stride if self.stride else 0
        return "stride" if self.stride and (block + offset) % self.stride == 0 else "unseen"

    def rows(self):
        """Yields (layer, KV head, its blocks' reasons)."""
        num_blocks = -(-TOKENS // BLOCK)
        for layer in range(self.num_layers):
            for head in range(self.num_heads):
                yield layer, head, [self.reason(layer, head, block) for block in range(num_blocks)]

    def check(self):
        pages = sum(reason != "unseen" for _, _, reasons in self.rows() for reason in reasons)
        expected = self.report["hybrid"]["kv_bytes"]
        if pages * self.page_bytes != expected:
            sys.exit(f"hybrid.py: {pages} pages of {self.page_bytes} bytes were drawn, "
                     f"longgen plan says {expected} bytes")


def runs(reasons):
    """Yields (first, number, reason) of equal neighbours."""
    first = 0
    for i in range(1, len(reasons) + 1):
        if i == len(reasons) or reasons[i] != reasons[first]:
            yield first, i - first, reasons[first]
            first = i


def draw_panel(hybrid, left, title, note):
    """The layers of a hybrid, layer 0 at the bottom, each divided into its KV heads; heads that agree are one box."""
    height = hybrid.num_layers * ROW
    num_blocks = -(-TOKENS // BLOCK)
    parts = [text(left, TOP - 24, title, "strong"), text(left, TOP - 8, note, "faint")]
    rows = {}
    for layer, head, reasons in hybrid.rows():
        rows.setdefault(layer, []).append(reasons)
    for layer, heads in rows.items():
        y = TOP + height - (layer + 1) * ROW
        heads = heads[:1] if all(reasons == heads[0] for reasons in heads) else heads
        row = (ROW - 1.5) / len(heads)
        for head, reasons in enumerate(heads):
            parts += [box(left + first * CELL, y + head * row, number * CELL, row, reason)
                      for first, number, reason in runs(reasons)]
    end = left + num_blocks * CELL
    parts += [text(left, TOP + height + 15, "token 0", "faint"),
              text(end, TOP + height + 15, f"token {TOKENS - 1:,}", "faint", "end")]
    return parts


def mib(num_bytes):
    return f"{num_bytes / 2**20:,.0f}"


def draw_bars(program, left, width):
    """The KV cache with every layer full, and as the hybrid: what its full layers keep, then the others."""
    parts = [text(left, TOP - 24, "KV cache", "strong"), text(left, TOP - 8, "MiB, bfloat16", "faint")]
    reports = [plan(program, tokens, PATTERNS[0]) for _, tokens in CONTEXTS]
    y = TOP + 12
    for (name, _), report in zip(CONTEXTS, reports):
        full, kept = report["full"]["kv_bytes"], report["hybrid"]["kv_bytes"]
        parts.append(text(left, y, f"{name} tokens", "strong"))
        layers = report["hybrid"]["layers"]["full_layers"]
        in_full_layers = full * len(layers) / report["model"]["num_layers"]
        parts += [box(left, y + 6, width, 10, "all"), text(left, y + 29, f"{mib(full)} &#160; all layers full", "faint"),
                  box(left, y + 38, width * in_full_layers / full, 10, "all"),
                  box(left + width * in_full_layers / full, y + 38, width * (kept - in_full_layers) / full, 10, "window"),
                  text(left, y + 61, f"{mib(kept)} &#160; hybrid: {kept / full:.0%}", "faint")]
        y += 92
    return parts


def draw_legend(y):
    parts, x = [], LEFT
    for style, words in [("all", "full layer: everything"), ("sink", "sink: first block"), ("window", "window: last 16"),
                         ("stride", "stride: every 16th"), ("unseen", "not seen, not kept")]:
        parts += [box(x, y - 9, 10, 10, style), text(x + 15, y, words)]
        x += 15 + 6.3 * len(words) + 14
    return parts


def draw(program):
    hybrids = [Hybrid(program, sparse) for sparse in PATTERNS]
    for hybrid in hybrids:
        hybrid.check()
    panel = -(-TOKENS // BLOCK) * CELL
    rows_end = TOP + hybrids[0].num_layers * ROW
    height = rows_end + 72
    title = f"What the newest of {TOKENS:,} tokens sees in each layer, and what the KV cache keeps"
    subtitle = (f"A row is a layer of {MODEL}, a column {BLOCK} tokens. Which layers are full was measured. "
                "What is grey takes no memory.")
    parts = [text(24, 32, title, "title"), text(24, 54, subtitle, "faint"),
             text(LEFT - 8, TOP + 8, f"layer {hybrids[0].num_layers - 1}", "faint", "end"),
             text(LEFT - 8, rows_end - 2, "layer 0", "faint", "end")]
    parts += draw_panel(hybrids[0], LEFT, "hybrid", "sink and window")
    parts += draw_panel(hybrids[1], LEFT + panel + PANEL_GAP, "hybrid with --sparse blocksparse",
                        f"sink, window and stride, {hybrids[1].num_heads} KV heads")
    bars = LEFT + 2 * (panel + PANEL_GAP)
    parts += draw_bars(program, bars, WIDTH - bars - 24)
    parts += draw_legend(rows_end + 46)
    described = "Layers by blocks of tokens: full layers see all, the others the first block and the last ones."
    return picture(height, described, LIGHT, DARK, parts)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("hybrid.py: expected the program, and perhaps the file to write")
    target = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else pathlib.Path(__file__).with_suffix(".svg")
    target.write_text(draw(sys.argv[1]), encoding="utf-8")


if __name__ == "__main__":
    main()
