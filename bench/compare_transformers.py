"""Prefill and decode speed and peak memory of longgen and of transformers, float32 on the CPU, in one run.

    .venv/bin/python bench/compare_transformers.py MODEL [--tokens 512,2048,8192] [--rounds 3] [--threads 2]

MODEL is a model directory (`longgen import` writes them). Every measurement is a process of its own; the two programs
take turns, so that a change of the machine's speed meets both. Prints medians and ratios as a table in Markdown.
Needs what scripts/setup.sh --tests installs. Use an idle machine.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time

DECODE_TOKENS = 32


def measure_transformers(model, num_tokens, threads):
    import resource

    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    torch.set_num_threads(threads)
    decoder = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = torch.randint(0, decoder.config.vocab_size, (1, num_tokens), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        decoder(ids[:, :64], use_cache=True, logits_to_keep=1)
        start = time.perf_counter()
        cache = decoder(ids, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1).past_key_values
        prefill = time.perf_counter() - start
        start = time.perf_counter()
        for i in range(DECODE_TOKENS):
            decoder(ids[:, i:i + 1], past_key_values=cache, use_cache=True, logits_to_keep=1)
        decode = time.perf_counter() - start
    return {"prefill_tokens_per_s": num_tokens / prefill, "decode_tokens_per_s": DECODE_TOKENS / decode,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measure_both(model, num_tokens, threads):
    ours = run(["build/release/longgen", "bench", "model", model, "--tokens", str(num_tokens), "--decode-tokens",
                str(DECODE_TOKENS), "--rounds", "1", "--dtype", "float32", "--threads", str(threads),
                "--json"])["variants"][0]
    theirs = run([sys.executable, __file__, model, "--measure", str(num_tokens), "--threads", str(threads)])
    return ours, theirs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--tokens", default="512,2048,8192")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure_transformers(options.model, options.measure, options.threads)))
        return
    rows = (("prefill_tokens_per_s", "prefill, tokens/s", 1), ("decode_tokens_per_s", "decode, tokens/s", 1),
            ("peak_memory_bytes", "peak memory, MB", 1e6))
    print("| tokens | | longgen | transformers | longgen / transformers |\n|---|---|---|---|---|", flush=True)
    for num_tokens in map(int, options.tokens.split(",")):
        rounds = [measure_both(options.model, num_tokens, options.threads) for _ in range(options.rounds)]
        for key, name, unit in rows:
            ours, theirs = (statistics.median(pair[side][key] / unit for pair in rounds) for side in (0, 1))
            print(f"| {num_tokens:,} | {name} | {ours:,.1f} | {theirs:,.1f} | {ours / theirs:.2f} |", flush=True)


main()
