"""Prints what scripts/quickstart.sh measured as one table. Usage: quickstart_table.py FOLDER"""
import json
import subprocess
import sys
from pathlib import Path

folder = Path(sys.argv[1])


def load(name):
    return json.loads((folder / name).read_text())


def kv_cache(context):
    text = subprocess.run(["build/release/longgen", "info", str(folder / "extended/model"), "--context", context,
                           "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(text)["kv"]


def finds_number(reply):
    return "yes" if "4827193" in (folder / reply).read_text() else "no"


def mib(num_bytes):
    return f"{num_bytes / 2**20:,.0f} MiB"


def rate(number):
    return f"{number:,.1f}" if number >= 10 else f"{number:.2f}"


def gain(ratio, better, worse):
    """How many times as good the hybrid is, in words: never below 1."""
    return f"{ratio:.2f}x {better}" if ratio >= 1 else f"{1 / ratio:.2f}x {worse}"


def main():
    speed = {variant["variant"]: variant for variant in load("speed.json")["variants"]}
    models = load("perplexity.json")["models"]
    rows = [("", "every layer full", "hybrid", "gain"),
            ("finds the number, nothing trained", finds_number("reply-full.txt"), finds_number("reply-hybrid.txt"), "")]
    for context in ("16K", "128K"):
        kv = kv_cache(context)
        full, hybrid = kv["full_bytes"], kv["bytes"]
        rows.append((f"KV cache at {context}, bfloat16", mib(full), mib(hybrid), gain(full / hybrid, "less", "more")))
    tokens = speed["full"]["tokens"]
    for key, name in (("prefill_tokens_per_s", f"prefill of {tokens:,} tokens, tokens/s"),
                      ("decode_tokens_per_s", f"decode after {tokens:,} tokens, tokens/s")):
        full, hybrid = speed["full"][key], speed["hybrid"][key]
        rows.append((name, rate(full), rate(hybrid), gain(hybrid / full, "faster", "slower")))
    print_table(rows)
    print()
    rows = [("perplexity by position", *(model["model"] for model in models))]
    for i, bucket in enumerate(models[0]["buckets"]):
        rows.append((f"{bucket['begin']:,} to {bucket['end']:,}",
                     *(f"{model['buckets'][i]['perplexity']:.2f}" for model in models)))
    rows.append(("all", *(f"{model['overall']['perplexity']:.2f}" for model in models)))
    print_table(rows)


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
        print(("  " + row[0].ljust(widths[0]) + cells).rstrip())


main()
