#!/usr/bin/env python3
"""Prints the study's tables as Markdown: study.py's last stage, or by itself of results that were kept.

    tables.py FOLDER [--text dev] [--context 32K]

FOLDER holds results/KIND-TEXT-CONTEXT-seedN/ as study.py writes them, and runs/ARM-CONTEXT-seedN/metrics.jsonl. A figure is
the mean over seeds of the difference to full attention with the same seed; the interval is the mean of the seeds' intervals (95%, over
documents or items); behind it stands what each seed gave, where there are several.
"""
import argparse
import collections
import json
import pathlib
import re


def arm_of(name):
    """The arm of a model's name in a report: six of "six-32K-seed0", original of what was not trained."""
    match = re.fullmatch(r"(.*)-\d+K-seed\d+", name)
    return match.group(1) if match else "original"


def rounded(value, digits):
    return f"{value:+.{digits}f}"


def difference_text(differences, digits, unit=""):
    """`differences`: (mean, low, high) of each seed, or (mean) alone where there is no interval."""
    means = [difference[0] for difference in differences]
    text = f"{rounded(sum(means) / len(means), digits)}{unit}"
    if all(len(difference) == 3 for difference in differences):
        low, high = (sum(ends) / len(means) for ends in list(zip(*differences))[1:])
        text += f" ({rounded(low, digits)} to {rounded(high, digits)})"
    return text if len(means) == 1 else f"{text} [{', '.join(rounded(mean, digits) for mean in means)}]"


class Table:
    """Rows by name, columns by arm; a cell has a list of a value, or of a difference, for each seed."""

    def __init__(self, title):
        self.title = title
        self.rows = collections.OrderedDict()
        self.arms = []

    def add(self, row, arm, entry):
        if arm not in self.arms:
            self.arms.append(arm)
        self.rows.setdefault(row, {}).setdefault(arm, []).append(entry)

    def print(self, text_of):
        if not self.rows:
            return
        print(f"\n{self.title}\n\n| | {' | '.join(self.arms)} |\n|---|{'---|' * len(self.arms)}")
        for row, cells in self.rows.items():
            print(f"| {row} | {' | '.join(text_of(cells[arm]) if arm in cells else '' for arm in self.arms)} |")


def mean_text(values, scale, digits):
    return f"{scale * sum(values) / len(values):.{digits}f}"


def perplexity_cell(entries):
    if isinstance(entries[0], float):
        return mean_text(entries, 1, 2)
    return difference_text(entries, 2, "%")


def points_cell(entries):
    if isinstance(entries[0], float):
        return mean_text(entries, 100, 1) + "%"
    return difference_text([[100 * part for part in entry] for entry in entries], 1)


def tokens(count):
    return f"{count // 1024}K" if count else "0"


def perplexity(reports):
    table = Table("Perplexity, by tokens before")
    for report in reports:
        for model in report["models"]:
            for bucket in [*model["buckets"], model["overall"]]:
                whole = bucket is model["overall"]
                row = "all" if whole else f"{tokens(bucket['begin'])} to {tokens(bucket['end'])}"
                difference = bucket.get("difference")
                entry = bucket["perplexity"] if difference is None else [difference["percent"], *(difference["interval"] or [])]
                table.add(row, arm_of(model["model"]), entry)
    table.print(perplexity_cell)


def found_by_length(report):
    """(found, samples) at each length of a report of needles, over all depths."""
    counts = collections.defaultdict(lambda: (0, 0))
    for cell in report["cells"]:
        found, samples = counts[cell["length"]]
        counts[cell["length"]] = (found + cell["found"], samples + cell["samples"])
    return dict(sorted(counts.items()))


def needles(folders):
    table = Table("Needles found, points")
    reports = [json.loads(path.read_text()) for folder in folders for path in sorted(folder.glob("needle-*.json"))]
    for report in sorted(reports, key=lambda report: "difference" in report):  # full attention first, as in the other tables
        arm, difference = arm_of(report["model"]), report.get("difference")
        if difference is None:
            for length, (found, samples) in found_by_length(report).items():
                table.add(tokens(length), arm, found / samples)
            table.add("all", arm, report["overall"]["share"])
        else:
            for row, part in [*((tokens(row["length"]), row["difference"]) for row in difference["lengths"]), ("all", difference["overall"])]:
                table.add(row, arm, [part["share"], *(part["interval"] or [])])
    table.print(points_cell)


def suite(reports, title, kind):
    table = Table(title)
    for report in reports:
        for row in report[kind]:
            for model in row["models"]:
                difference = model.get("difference")
                entry = model["value"] if difference is None else [difference["mean"], *(difference["interval"] or [])]
                if row["score"] != "nll" and model["value"] is not None:
                    table.add(row["task"] + ("" if row["score"] in ("score", "average") else f", {row['score']}"),
                              arm_of(model["model"]), entry)
    table.print(points_cell)


def median_speeds(runs, context):
    """Tokens a second of each arm: the median of a run's steps, the mean over seeds."""
    rates = collections.defaultdict(list)
    for path in sorted(runs.glob(f"*-{context}-seed*/metrics.jsonl")):
        of_steps = sorted(line["tokens_per_s"] for line in map(json.loads, path.read_text().splitlines()) if line.get("tokens_per_s"))
        if of_steps:
            rates[arm_of(path.parent.name)].append(float(of_steps[len(of_steps) // 2]))
    return {arm: sum(values) / len(values) for arm, values in rates.items()}


def speed(runs, context):
    table = Table("Training, tokens/s (median of the steps)")
    for arm, rate in median_speeds(runs, context).items():
        table.add("tokens/s", arm, rate)
    table.print(lambda values: f"{values[0]:,.0f}")


def read(folder, kind, options):
    name = {"perplexity": "perplexity.json"}.get(kind, "results.json")
    pattern = f"{kind}-{options.text}-{options.context}-seed*/{name}"
    return [json.loads(path.read_text()) for path in sorted((folder / "results").glob(pattern))]


def print_all(options):
    folder = pathlib.Path(options.folder)
    print(f"{options.context}, {options.text}.txt")
    speed(folder / "runs", options.context)
    perplexity(read(folder, "perplexity", options))
    needles(sorted((folder / "results").glob(f"needles-{options.text}-{options.context}-seed*")))
    for kind, title in (("retrieval", "RULER's needles"), ("ruler", "RULER")):
        reports = read(folder, kind, options)
        suite(reports, f"{title}, points", "averages")
        suite(reports, f"{title} by task, points", "rows")
    suite(read(folder, "short", options), "Short suites, points", "averages")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--text", default="dev")
    parser.add_argument("--context", default="32K")
    print_all(parser.parse_args())


if __name__ == "__main__":
    main()
