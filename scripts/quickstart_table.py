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


def mib(num_bytes):
    return f"{num_bytes / 2**20:,.0f} MiB"


def main():
    speed = {variant["variant"]: variant for variant in load("speed.json")["variants"]}
    models = load("perplexity.json")["models"]
    rows = [("", "every layer full", "hybrid", "full : hybrid")]
    for context in ("16K", "128K"):
        kv = kv_cache(context)
        full, hybrid = kv["full_bytes"], kv["bytes"]
        rows.append((f"KV cache at {context}, bfloat16", mib(full), mib(hybrid), f"{full / hybrid:.2f}"))
    tokens = speed["full"]["tokens"]
    for key, name in (("prefill_tokens_per_s", f"prefill of {tokens:,} tokens, tokens/s"),
                      ("decode_tokens_per_s", f"decode after {tokens:,} tokens, tokens/s")):
        full, hybrid = speed["full"][key], speed["hybrid"][key]
        rows.append((name, f"{full:,.1f}", f"{hybrid:,.1f}", f"{full / hybrid:.2f}"))
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
        print("  " + row[0].ljust(widths[0]) + "".join("  " + cell.rjust(width)
                                                        for cell, width in zip(row[1:], widths[1:])))


main()
