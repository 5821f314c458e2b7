"""Gaps between tokens of many replies, alone and while a long prompt arrives, from a server that speaks OpenAI's API.

    .venv/bin/python bench/serve_gaps.py TEXT [--port 8000] [--replies 8] [--tokens 120] [--long 25000] [--after 3]

TEXT is any long text file: prompts are pieces of it. Three runs, one after the other: one reply, `--replies` of them at once, the same
with a prompt of `--long` characters that comes `--after` seconds after they began. Prints a table in Markdown: tokens per second of all
replies together, the gaps' median, 99th percentile and worst, and how long the long prompt's first token took. Use an idle machine, and a
server that was just started: a prompt that it knows already says nothing.
"""
import argparse
import http.client
import json
import pathlib
import threading
import time

PROMPT = 200  # characters of a short one


def stream(port, body):
    """Yields the time of each token."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", "/v1/completions", json.dumps({**body, "stream": True, "temperature": 0, "ignore_eos": True}),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"serve_gaps.py: the server answered {answer.status}: {answer.read(500).decode(errors='replace')}")
    for line in answer:
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:])["choices"]
            if choices and choices[0]["text"]:
                yield time.perf_counter()


class Run:
    def __init__(self, options, text, first, count):
        self.options = options
        self.bodies = [{"prompt": text[begin:begin + PROMPT], "max_tokens": options.tokens}
                       for begin in range(first, first + 5 * PROMPT * count, 5 * PROMPT)]
        self.times = [[] for _ in self.bodies]

    def reply(self, index):
        self.times[index].extend(stream(self.options.port, self.bodies[index]))

    def measure(self, long_prompt=None):
        """Returns seconds until the long prompt's first token, if there is one."""
        threads = [threading.Thread(target=self.reply, args=(i,)) for i in range(len(self.bodies))]
        for thread in threads:
            thread.start()
        first = None
        if long_prompt:
            time.sleep(self.options.after)
            begin = time.perf_counter()
            first = next(stream(self.options.port, {"prompt": long_prompt, "max_tokens": 2})) - begin
        for thread in threads:
            thread.join()
        return first

    def row(self, name, first):
        gaps = sorted(later - earlier for times in self.times for earlier, later in zip(times, times[1:]))
        if not gaps:
            raise SystemExit("serve_gaps.py: the server sent no texts. Is --tokens at least 2?")
        seconds = max(times[-1] for times in self.times) - min(times[0] for times in self.times)
        tokens = sum(len(times) - 1 for times in self.times)
        milliseconds = [f"{1000 * gaps[min(len(gaps) - 1, int(share * len(gaps)))]:.0f}" for share in (0.5, 0.99)]
        return (f"| {name} | {tokens / seconds:.1f} | {milliseconds[0]} | {milliseconds[1]} | {1000 * gaps[-1]:.0f} | "
                f"{'' if first is None else f'{first:.1f}'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--replies", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--long", type=int, default=25000)
    parser.add_argument("--after", type=float, default=3)
    options = parser.parse_args()
    text = options.text.read_text(encoding="utf-8", errors="replace")
    used = 5 * PROMPT * (2 * options.replies + 1)
    if len(text) < used + options.long:
        parser.error(f"{options.text} has {len(text):,} characters, {used + options.long:,} are needed")
    print("| | tokens/s | gap, median, ms | 99% | worst | first token of the long prompt, s |\n|---|---|---|---|---|---|")
    runs = [("one reply", 1, None), (f"{options.replies} replies", options.replies, None),
            (f"{options.replies} replies, a long prompt comes", options.replies, text[used:used + options.long])]
    first = 0
    for name, count, long_prompt in runs:
        run = Run(options, text, first, count)
        first += 5 * PROMPT * count
        seconds = run.measure(long_prompt)
        print(run.row(name, seconds), flush=True)


if __name__ == "__main__":
    main()
