#!/usr/bin/env python3
"""Draws docs/study/trained.svg: perplexity over full attention by position, and needles found by length, of trained hybrids.

    pictures.py FOLDER [--text test] [--context 32K] [--arms six-wide-stride,four-wide-stride,six]

FOLDER is that of study.py; the figures are those that tables.py prints, of seed 0, with their 95% intervals.
"""
import argparse
import json
import math
import pathlib

from tables import arm_of, found_by_length, tokens

WIDTH, HEIGHT = 860, 330
TOP, BOTTOM = 92, 262  # of both panels
STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de } text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 } .strong { font-weight: 600 } .faint { fill: #59636e }
  .grid { stroke: #eff2f5 } .zero { stroke: #59636e } .line { fill: none; stroke-width: 2.2 } .whisker { stroke-width: 5; stroke-opacity: 0.3 }
  .c0 { stroke: #1a7f37; fill: #1a7f37 } .c1 { stroke: #8250df; fill: #8250df } .c2 { stroke: #bc4c00; fill: #bc4c00 } .c3 { stroke: #1f6feb; fill: #1f6feb }
  .line.c0, .line.c1, .line.c2 { fill: none } .bar { stroke: none }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d } text { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #21262d } .zero { stroke: #9198a1 }
    .c0 { stroke: #3fb950; fill: #3fb950 } .c1 { stroke: #bc8cff; fill: #bc8cff } .c2 { stroke: #f0883e; fill: #f0883e } .c3 { stroke: #58a6ff; fill: #58a6ff }
  }"""
NAMES = {"full": "every layer full", "six": "six of 30 full, window 1K", "six-wide-stride": "six of 30 full, window 2K and stride",
         "four-wide-stride": "four of 30 full, window 2K and stride"}


def text(x, y, content, style="", anchor="start"):
    return f'<text x="{x:.6g}" y="{y:.6g}" class="{style}" text-anchor="{anchor}">{content}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.6g}" y1="{y1:.6g}" x2="{x2:.6g}" y2="{y2:.6g}" class="{style}"/>'


def by_arm(entries):
    return {arm_of(entry["model"]): entry for entry in entries}


def draw_perplexity(report, arms, left, right):
    """Points at the middle of each bucket of positions, a bar of the interval behind each."""
    models = by_arm(report["models"])
    values = [bucket["difference"] for arm in arms for bucket in models[arm]["buckets"]]
    low = math.floor(min(value["interval"][0] for value in values) * 2) / 2
    high = math.ceil(max(value["interval"][1] for value in values) * 2) / 2

    def height(percent):
        return BOTTOM - (percent - low) / (high - low) * (BOTTOM - TOP)

    parts = [text(left, TOP - 18, "perplexity over full attention, by tokens before", "strong")]
    for step in range(round(low * 2), round(high * 2) + 1):
        parts += [line(left, height(step / 2), right, height(step / 2), "zero" if step == 0 else "grid"),
                  text(left - 8, height(step / 2) + 4, f"{step / 2:+.1f}%" if step else "0", "faint", "end")]
    buckets = models[arms[0]]["buckets"]
    width = (right - left) / len(buckets)
    for i, bucket in enumerate(buckets):
        parts.append(text(left + (i + 0.5) * width, BOTTOM + 17, f"{tokens(bucket['begin'])}–{tokens(bucket['end'])}", "faint", "middle"))
    for number, arm in enumerate(arms):
        points = []
        for i, bucket in enumerate(models[arm]["buckets"]):
            x = left + (i + 0.5) * width + (number - (len(arms) - 1) / 2) * 9
            difference = bucket["difference"]
            parts.append(line(x, height(difference["interval"][0]), x, height(difference["interval"][1]), f"whisker c{number}"))
            points.append((x, height(difference["percent"])))
        parts.append(f'<polyline class="line c{number}" points="' + " ".join(f"{x:.6g},{y:.6g}" for x, y in points) + '"/>')
        parts += [f'<circle cx="{x:.6g}" cy="{y:.6g}" r="3.2" class="c{number}"/>' for x, y in points]
    return parts


def draw_needles(reports, arms, left, right):
    """Bars of the share found, by length."""
    models = by_arm(reports)
    arms = ["full", *arms]
    found = {arm: found_by_length(models[arm]) for arm in arms}
    lengths = list(found["full"])
    samples = sum(number for _, number in found["full"].values())
    parts = [text(left, TOP - 18, f"needles found in books, of {samples:,}", "strong")]
    for percent in (0, 50, 100):
        y = BOTTOM - percent / 100 * (BOTTOM - TOP)
        parts += [line(left, y, right, y, "grid"), text(left - 8, y + 4, f"{percent}%", "faint", "end")]
    width = (right - left) / len(lengths)
    bar = width * 0.8 / len(arms)
    for i, length in enumerate(lengths):
        parts.append(text(left + (i + 0.5) * width, BOTTOM + 17, tokens(length), "faint", "middle"))
        for number, arm in enumerate(arms):
            hits, number_of = found[arm][length]
            height = hits / number_of * (BOTTOM - TOP)
            x = left + i * width + width * 0.1 + number * bar
            parts.append(f'<rect x="{x:.6g}" y="{BOTTOM - height:.6g}" width="{bar - 1.5:.6g}" height="{height:.6g}" '
                         f'class="bar c{(number - 1) % 4}"><title>{NAMES.get(arm, arm)}, {tokens(length)}: {hits} of {number_of}</title></rect>')
    return parts


def draw_legend(arms):
    parts, x = [], 24
    for number, arm in enumerate(["full", *arms]):
        words = NAMES.get(arm, arm)
        parts += [f'<rect x="{x}" y="{HEIGHT - 29}" width="10" height="10" class="bar c{(number - 1) % 4}"/>', text(x + 15, HEIGHT - 20, words)]
        x += 15 + round(6.1 * len(words)) + 16
    return parts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--text", default="test")
    parser.add_argument("--context", default="32K")
    parser.add_argument("--arms", default="six-wide-stride,four-wide-stride,six", type=lambda text: text.split(","))
    options = parser.parse_args()
    results = options.folder / "results"
    end = f"{options.text}-{options.context}-seed0"
    perplexity = json.loads((results / f"perplexity-{end}" / "perplexity.json").read_text())
    needles = [json.loads(path.read_text()) for path in sorted((results / f"needles-{end}").glob("needle-*.json"))]
    title = f"SmolLM2-135M trained to {options.context} tokens: hybrids against full attention"
    parts = [text(24, 34, title, "title"),
             text(24, 54, "The same training on 21 million tokens; bars behind the points: 95% intervals.", "faint"),
             *draw_perplexity(perplexity, options.arms, 76, 500),
             *draw_needles(needles, options.arms, 572, WIDTH - 24), *draw_legend(options.arms)]
    picture = "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">', f"<title>{title}</title>",
        f"<style>{STYLE}\n</style>", f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8" class="card"/>', *parts, "</svg>", ""])
    pathlib.Path(__file__).with_name("trained.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
