#!/usr/bin/env python3
"""Draws the study's pictures, from the FOLDER of study.py.

    pictures.py FOLDER trained [--context 32K] [--arms six-wide-stride,four-wide-stride,six]
    pictures.py FOLDER arms [--context 32K]

trained.svg: perplexity over full attention by position, and needles found by length, on test.txt. arms.svg: perplexity over full attention of all
arms, on dev.txt, by training speed. The figures are those that tables.py prints, of seed 0; the intervals are of 95%.
"""
import argparse
import json
import math
import pathlib
import sys

from tables import arm_of, found_by_length, median_speeds, tokens

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "pictures"))
from svg import WIDTH, line, picture, text  # noqa: E402

HEIGHT = 330
TOP, BOTTOM = 92, 262  # of both panels
LIGHT = """.grid { stroke: #eff2f5 } .zero { stroke: #59636e; fill: #59636e } .mark { stroke-width: 2.2 } .line { fill: none; stroke-width: 2.2 } .whisker { stroke-width: 5; stroke-opacity: 0.3 }
  .c0 { stroke: #1a7f37; fill: #1a7f37 } .c1 { stroke: #8250df; fill: #8250df } .c2 { stroke: #bc4c00; fill: #bc4c00 } .c3 { stroke: #1f6feb; fill: #1f6feb }
  .line.c0, .line.c1, .line.c2, .line.c3 { fill: none } .bar { stroke: none } text.name { font-weight: 600; stroke: none } .hollow { fill: #ffffff }"""
DARK = """.grid { stroke: #21262d } .zero { stroke: #9198a1; fill: #9198a1 } .hollow { fill: #0d1117 }
    .c0 { stroke: #3fb950; fill: #3fb950 } .c1 { stroke: #bc8cff; fill: #bc8cff } .c2 { stroke: #f0883e; fill: #f0883e } .c3 { stroke: #58a6ff; fill: #58a6ff }"""
NAMES = {"full": "every layer full", "six": "six of 30 full, window 1K", "six-wide-stride": "six of 30 full, window 2K and stride",
         "four-wide-stride": "four of 30 full, window 2K and stride"}


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


def draw_trained(results, end, context, arms):
    """What a hybrid loses by position, and the needles that it finds."""
    perplexity = json.loads((results / f"perplexity-{end}" / "perplexity.json").read_text())
    needles = [json.loads(path.read_text()) for path in sorted((results / f"needles-{end}").glob("needle-*.json"))]
    title = f"SmolLM2-135M trained to {context} tokens: hybrids against full attention"
    return picture(HEIGHT, title, LIGHT, DARK, [
        text(24, 34, title, "title"),
        text(24, 54, "The same training on 21 million tokens; bars behind the points: 95% intervals.", "faint"),
        *draw_perplexity(perplexity, arms, 76, 500), *draw_needles(needles, arms, 572, WIDTH - 24), *draw_legend(arms)])


# Families of arms, one line each: what they are called, where the name stands by the first point, and their arms from the narrowest pattern on.
FAMILIES = [("ten by place (the paper's)", (12, 4), ["paper", "paper-stride"]), ("ten measured", (-12, -10), ["ten", "ten-stride"]),
            ("six measured", (-12, -10), ["six", "six-stride", "six-wide", "six-wide-stride"]), ("four measured", (12, 4), ["four", "four-stride"])]
PATTERNS = [("", "sink, window of 1K"), ("-stride", "with every 16th block"), ("-wide", "sink, window of 2K"), ("-wide-stride", "with every 16th block")]


def mark(x, y, arm, style):
    """A square for a window of 2K, else a circle; filled where the pattern has a stride."""
    style += "" if arm.endswith("-stride") else " hollow"
    if "-wide" in arm:
        return f'<rect x="{x - 5:.6g}" y="{y - 5:.6g}" width="10" height="10" class="mark {style}"/>'
    return f'<circle cx="{x:.6g}" cy="{y:.6g}" r="5.5" class="mark {style}"/>'


def draw_arms(results, end, context, runs):
    """Every arm by training speed and perplexity over full attention, on scales of equal factors."""
    perplexity = by_arm(json.loads((results / f"perplexity-{end}" / "perplexity.json").read_text())["models"])
    speed = median_speeds(runs, context)
    left, right, top, bottom = 80, WIDTH - 60, 92, 330

    def place(arm):
        x = math.log(speed[arm] / speed["full"] / 1.6) / math.log(2.8 / 1.6)
        y = math.log(perplexity[arm]["overall"]["difference"]["percent"] / 0.25) / math.log(4 / 0.25)
        return left + x * (right - left), bottom - y * (bottom - top)

    title = f"SmolLM2-135M trained to {context} tokens: what a hybrid loses, and what it saves"
    parts = [text(24, 34, title, "title"), text(24, 54, "Perplexity over full attention, by training speed over full attention's: lower and farther right is better.", "faint")]
    for percent in (0.25, 0.5, 1, 2, 4):
        y = bottom - math.log(percent / 0.25) / math.log(16) * (bottom - top)
        parts += [line(left, y, right, y, "grid"), text(left - 8, y + 4, f"+{percent:g}%", "faint", "end")]
    for factor in (1.6, 1.8, 2, 2.2, 2.4, 2.6, 2.8):
        x = left + math.log(factor / 1.6) / math.log(1.75) * (right - left)
        parts += [line(x, top, x, bottom, "grid"), text(x, bottom + 17, f"{factor:g}x", "faint", "middle")]
    for number, (name, shift, arms) in zip((2, 3, 0, 1), FAMILIES):
        points = [place(arm) for arm in arms]
        parts.append(f'<polyline class="line c{number}" points="' + " ".join(f"{x:.6g},{y:.6g}" for x, y in points) + '"/>')
        parts += [mark(x, y, arm, f"c{number}") for (x, y), arm in zip(points, arms)]
        parts.append(text(points[0][0] + shift[0], points[0][1] + shift[1], name, f"name c{number}", "start" if shift[0] > 0 else "end"))
    x = 80
    for arm, words in PATTERNS:
        parts += [mark(x, bottom + 42, arm, "zero"), text(x + 13, bottom + 46, words)]
        x += 13 + round(6.1 * len(words)) + 24
    return picture(bottom + 66, title, LIGHT, DARK, parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("picture", choices=["trained", "arms"])
    parser.add_argument("--context", default="32K")
    parser.add_argument("--arms", default="six-wide-stride,four-wide-stride,six", type=lambda text: text.split(","))
    options = parser.parse_args()
    results = options.folder / "results"
    if options.picture == "trained":
        drawn = draw_trained(results, f"test-{options.context}-seed0", options.context, options.arms)
    else:
        drawn = draw_arms(results, f"dev-{options.context}-seed0", options.context, options.folder / "runs")
    pathlib.Path(__file__).with_name(f"{options.picture}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
