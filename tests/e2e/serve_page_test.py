"""The page of longgen serve in Chromium, on a tiny random hybrid: what a user does there, by mouse and by keys alone.

    serve_page_test.py PROGRAM
"""

import json
import re
import socket
import subprocess
import sys
import unittest

from browser import CHROMIUM, Browser
from cli_case import CliCase
from serve_test import CONTEXT, PRECISELY, ServeCase, wait_for, write_served_model

HOSTILE = '<script>window.hit = 1</script><img src=x onerror="window.hit = 1"><b>bold</b>'
REPLY = HOSTILE + "\n\n## A *head\n\n1. one\n2. `two` **three**\n\n```html\n" + HOSTILE + "\n```\nend"
# What the page shows of a prompt while it is read, which may be gone soon.
WATCH = """window.seen = []; new MutationObserver(() => {
  const text = document.querySelector('.progress')?.innerText; if (text) window.seen.push(text);
}).observe(document.getElementById('messages'), {childList: true, subtree: true, characterData: true, attributes: true})"""
IS_DONE = "document.querySelector('.reply:last-child')?.getAttribute('aria-busy') === 'false'"


def stream_of(text):
    """A chat that says so, a few letters at a time."""
    def event(**more):
        return "data: " + json.dumps({"id": "1", "choices": [], **more}) + "\n\n"

    def usage(tokens):
        return {"prompt_tokens": 70, "completion_tokens": tokens, "prompt_tokens_details": {"cached_tokens": 64}}

    events = [event(choices=[{"index": 0, "delta": {"content": text[i:i + 5]}, "finish_reason": None}], usage=usage(i // 5 + 1))
              for i in range(0, len(text), 5)]
    return "".join(events) + event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]) + "data: [DONE]\n\n"


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def setUpModule():
    if CHROMIUM:
        PageCase.browser = Browser()
        unittest.addModuleCleanup(PageCase.browser.close)


@unittest.skipUnless(CHROMIUM, "Chromium is not installed")
class PageCase(CliCase):
    """On a model whose greedy replies do not end by themselves."""

    CONTEXT = CONTEXT

    @classmethod
    def write_model(cls):
        return write_served_model(cls.PROGRAM, cls.folder, cls.CONTEXT, ends=False)

    def open(self):
        self.browser.open(self.url)
        self.browser.complaints.clear()

    def choose(self, **settings):
        """Greedy, with settings."""
        stored = {"temperature": 0, "max_tokens": 24} | settings
        self.browser.evaluate(f"localStorage.setItem('longgen.settings', JSON.stringify({json.dumps(stored)}))")
        self.open()
        self.browser.wait("document.getElementById('status').dataset.status === 'ok'")

    def send(self, text):
        self.browser.write(text)
        self.browser.press("Enter")

    def reply(self):
        """The text and the figures of the last reply, when it is there."""
        self.browser.wait(IS_DONE)
        return self.browser.text(".reply:last-child .text"), self.browser.text(".reply:last-child .notes")

    def focus(self):
        return self.browser.evaluate("document.activeElement.id")


class ServedPageCase(PageCase, ServeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = f"http://{cls.server.host}:{cls.server.port}/"


class Page(ServedPageCase):
    CONTEXT = 1 << 16  # room for replies that take seconds

    @classmethod
    def options(cls):
        return ["--served-model-name", "<b>tiny</b>"]

    def setUp(self):
        super().setUp()
        self.browser.open("about:blank")  # what another server was asked is asked no more
        self.browser.requests.clear()
        self.browser.resize(1280, 800)
        self.open()

    def tearDown(self):
        self.assertEqual(self.browser.complaints, [])
        strangers = [url for url in self.browser.requests if not url.startswith((self.url, "about:", "data:"))]
        self.assertEqual(strangers, [])

    def test_a_chat_is_streamed_and_counted(self):
        self.choose()
        self.assertEqual(self.browser.text("#model"), "<b>tiny</b>")
        self.assertEqual(self.focus(), "message")
        self.send("What is there?")
        text, notes = self.reply()
        self.assertTrue(text)
        self.assertRegex(notes, r"^as long as the settings allow, 24 tokens, [\d.,]+ tokens/s, first token after [\d.]+ s$")
        self.assertEqual(self.browser.text(".mine .text"), "What is there?")
        self.assertRegex(self.browser.text("#room"), r"^[\d,]+ of 65,536 tokens$")
        self.assertIn("The reply is there: 24 tokens", self.browser.text("#announcer"))
        self.click_again(text)
        self.browser.click("#new-chat")
        self.assertEqual(self.browser.evaluate("document.getElementById('messages').children.length"), 0)
        self.assertTrue(self.browser.text("#welcome"))

    def click_again(self, text):
        """The same question, greedily, has the same reply, and stands once in the conversation."""
        self.browser.evaluate("document.querySelector('.reply').className += ' old'")
        self.browser.click(".retry")
        self.browser.wait("document.querySelector('.old') === null")
        self.assertEqual(self.reply()[0], text)
        self.assertEqual(self.browser.evaluate("document.getElementById('messages').children.length"), 2)

    def test_a_reply_is_stopped_and_the_server_lets_go(self):
        self.choose(max_tokens=60_000)
        self.send("Go on.")
        self.browser.wait("document.querySelector('.reply .text')?.innerText.length > 20")
        card = self.browser.wait("document.querySelector('.request.decode')?.innerText")
        self.assertRegex(card, r"Request \d+\s+writes\s+Prompt (\d+) of \1.* · reply [\d,]+ of 60,000 · [\d,]+ pages reserved, [\d.]+ MiB$")
        self.assertGreater(self.browser.evaluate("document.querySelectorAll('.request .strip .full').length"), 0)
        for kind in ("sink", "window"):
            self.assertEqual(self.browser.evaluate(f"document.querySelectorAll('.request .strip .{kind}').length"), 1, kind)
        self.browser.press("Escape")
        self.browser.wait(IS_DONE)
        self.assertTrue(self.reply()[1].startswith("stopped, "), self.reply()[1])
        wait_for(lambda: self.server.state()["requests"]["running"] == 0, "it has let go", 5)
        self.browser.wait("document.querySelector('#requests').innerText.startsWith('None now.')")

    def test_what_the_cache_holds(self):
        self.choose()
        self.send("x" * 700)
        self.reply()
        state = self.server.state()
        pages = state["pages"]
        self.assertEqual(state["layers"], [{"layers": 1, "kind": "full"},
                                           {"layers": 2, "kind": "sparse", "sink_blocks": 1, "window_blocks": 2, "stride_blocks": 0}])
        self.assertEqual(sum(pages["own_by_kind"].values()), pages["in_use"] - pages["cached"])
        self.assertEqual(sum(pages["cached_by_kind"].values()), pages["cached"])
        self.assertGreater(pages["cached_by_kind"]["full"], 0)
        kinds = self.browser.wait("document.querySelector('#kinds').innerText")
        for words in ("Full", "1 layer, every token", "Sinks", "2 layers, first 64 tokens", "Windows", "2 layers, last 128 tokens"):
            self.assertIn(words, kinds)
        self.assertNotIn("Strides", kinds)
        expected = f"0 + {pages['cached_by_kind']['full']} pages"
        self.browser.wait(f"document.querySelector('#kinds').innerText.includes({json.dumps(expected)})")

    def test_a_long_text_is_read_once(self):
        self.choose()
        name = '<img src=x onerror="window.hit=1">.txt'
        text = "".join(chr(97 + i * i % 23) for i in range(5000))
        self.put("empty.txt", "")
        self.browser.choose_files("#file", self.put(name, text), self.put("binary", b"\0\xff"), self.dir / "empty.txt")
        self.browser.wait("document.querySelector('#files').innerText.includes('5,000 tokens')")
        files = self.browser.text("#files")
        self.assertIn(name, files)
        self.assertIn("not a text file (expected UTF-8)", files)
        self.assertIn("empty", files)
        self.browser.evaluate("document.getElementById('message').focus()")
        self.send("What is it about?")
        self.assertIn("Remove it first.", self.browser.text("#announcer"))
        for _ in range(2):
            self.browser.click(".file.wrong .remove")
        self.browser.evaluate(WATCH)
        self.browser.press("Enter")
        self.reply()
        seen = self.browser.evaluate("window.seen.join('|')")
        self.assertRegex(seen, r"Reading: [\d,]+ of 5,\d\d\d tokens")
        self.assertIn(name, self.browser.text(".mine .files"))
        self.send("And then?")
        self.assertRegex(self.reply()[1], r"5,\d\d\d of 5,\d\d\d prompt tokens from the cache$")
        self.assertIsNone(self.browser.evaluate("window.hit ?? null"))

    def test_what_a_model_writes_is_text(self):
        self.choose()
        answer = self.browser.answer_with("*/v1/chat/completions", stream_of(REPLY), "text/event-stream")
        self.send(HOSTILE)
        answer()
        text, notes = self.reply()
        self.assertEqual(text.count(HOSTILE), 2)
        self.assertIn("A *head", text)
        self.assertEqual(self.browser.text(".mine .text"), HOSTILE)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#messages :is(img, script, b, a)').length"), 0)
        self.assertEqual(self.browser.text(".reply pre"), HOSTILE)
        self.assertEqual(self.browser.text(".reply ol"), "one\ntwo three")
        self.assertEqual(self.browser.text(".reply ol strong"), "three")
        self.assertIn("64 of 70 prompt tokens from the cache", notes)
        self.assertIsNone(self.browser.evaluate("window.hit ?? null"))
        with self.assertRaisesRegex(AssertionError, "TrustedHTML"):
            self.browser.evaluate("document.body.innerHTML = '<p>'")
        self.browser.complaints.clear()

    def test_texts_that_are_meant_to_take_long(self):
        """Of 200,000 characters each. A search that is quadratic would take minutes, too many children would be an error."""
        for text in ("'*a'.repeat(100000)", "'**a '.repeat(50000)", "'- a\\n'.repeat(50000)", "'```'.concat(' '.repeat(200000), 'x y')",
                     "' '.repeat(200000) + 'x'", "'`'.repeat(200000) + ' x `'", "'```\\n'.repeat(50000)"):
            took = self.browser.evaluate("""import('/page/markdown.js').then(({MarkdownView}) => {
                const begin = performance.now();
                new MarkdownView(document.createElement('div')).update(%s);
                return performance.now() - begin; })""" % text)
            self.assertLess(took, 5000, text)

    def test_an_answer_that_breaks_off_is_said(self):
        self.choose()
        broken = stream_of("Half a sent").removesuffix("data: [DONE]\n\n")
        for body, expected in ((broken, "The server broke the answer off."),
                               ('data: {"error": {"message": "the engine has failed."}}\n\n', "the engine has failed.")):
            answer = self.browser.answer_with("*/v1/chat/completions", body, "text/event-stream")
            self.send("Go.")
            answer()
            self.browser.wait(IS_DONE)
            self.assertEqual(self.browser.text(".reply:last-child .failure"), expected)

    def test_keys_alone(self):
        self.choose(max_tokens=60_000)

        def tab_to(name):
            for _ in range(30):
                self.browser.press("Tab")
                if self.focus() == name:
                    return
            self.fail(f"{name} is not reached by Tab")

        tab_to("open-settings")
        self.browser.press("Enter")
        self.browser.wait("document.getElementById('settings').open")
        tab_to("system")
        self.browser.write("Be short.")
        tab_to("seed")
        self.browser.write("5")
        self.browser.press("Escape")
        self.browser.wait("!document.getElementById('settings').open")
        self.assertEqual(self.focus(), "open-settings")
        stored = json.loads(self.browser.evaluate("localStorage.getItem('longgen.settings')"))
        self.assertEqual((stored["system"], stored["seed"], stored["temperature"]), ("Be short.", 5, 0))
        tab_to("toggle-server")
        before = self.browser.evaluate("document.getElementById('server').hidden")
        self.browser.press(" ")
        self.assertNotEqual(self.browser.evaluate("document.getElementById('server').hidden"), before)
        self.browser.press("/")
        self.assertEqual(self.focus(), "message")
        self.browser.write("One")
        self.browser.press("Enter", shift=True)
        self.send("two")
        self.browser.wait("document.querySelector('.reply .text')?.innerText.length > 5")
        self.assertEqual(self.browser.text(".mine .text"), "One\ntwo")
        tab_to("stop")
        self.browser.press("Enter")
        self.browser.wait(IS_DONE)
        self.assertEqual(self.focus(), "message")

    def test_names_for_those_who_hear_it(self):
        unnamed = self.browser.evaluate("""[...document.querySelectorAll('button, input, textarea, [role]')].filter((node) =>
            node.id !== 'file' && !node.labels?.length && !node.getAttribute('aria-label') && !node.innerText.trim()
            && node.getAttribute('role') !== 'status').map((node) => node.outerHTML)""")
        self.assertEqual(unnamed, [])

    def test_dark_light_and_narrow(self):
        self.choose()
        grounds = set()
        for scheme in ("light", "dark"):
            self.browser.prefer(scheme)
            grounds.add(self.browser.evaluate("getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(len(grounds), 2)
        self.browser.resize(380, 720)
        self.open()
        self.send("word" * 100)
        self.reply()
        self.browser.click("#toggle-server")
        self.assertTrue(self.browser.evaluate("document.querySelector('.chat').inert"))
        self.browser.press("Escape")
        self.assertFalse(self.browser.evaluate("document.querySelector('.chat').inert"))
        for is_open in ("true", "false"):
            self.browser.click("#toggle-server")
            self.assertEqual(self.browser.evaluate("document.getElementById('toggle-server').getAttribute('aria-expanded')"), is_open)
            self.assertLessEqual(self.browser.evaluate("document.scrollingElement.scrollWidth"), 380)
            for part in ("log", "server"):
                self.assertEqual(self.browser.evaluate(f"(({part}) => {part}.scrollWidth - {part}.clientWidth)(document.getElementById('{part}'))"), 0)


class BaseModel(PageCase):
    def test_it_goes_on_with_a_text_and_its_page_is_there_before_it(self):
        model = write_served_model(self.PROGRAM, self.dir, ends=False)
        (model / "tokenizer_config.json").write_text("{}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        process = subprocess.Popen([self.PROGRAM, "serve", model, "--port", str(port), "--quiet", *PRECISELY],
                                   stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: is_open(port), "it listens")
            self.open()
            # On a slow machine the server may be ready by now; else the page says that it starts, and goes on by itself.
            self.assertTrue(self.browser.text("#model"))
            self.browser.wait("document.getElementById('status').dataset.status === 'ok'")
            self.choose()
            self.send("Once upon")
            text, notes = self.reply()
            self.assertTrue(text)
            self.assertIn("24 tokens", notes)
            self.assertIn(self.url + "v1/completions", self.browser.requests)
        finally:
            process.kill()
            process.wait()


class Keys(ServedPageCase):
    @classmethod
    def options(cls):
        (cls.folder / "keys").write_text("anna secret-a\n")
        return ["--api-key-file", cls.folder / "keys"]

    def test_the_page_asks_for_the_key(self):
        self.open()
        self.browser.evaluate("sessionStorage.clear()")
        self.open()
        self.browser.wait("document.getElementById('settings').open")
        self.assertEqual(self.focus(), "key")
        self.assertEqual(self.browser.text("#key-hint"), "This server needs a key.")
        self.assertEqual(self.browser.text("#status-text"), "needs an API key")
        self.send("wrong")
        self.browser.wait("document.getElementById('key-hint').innerText === 'The server does not know this key.'")
        self.browser.evaluate("document.getElementById('key').value = ''")
        self.send("secret-a")
        self.browser.wait("document.getElementById('status').dataset.status === 'ok'")
        self.assertNotIn("secret-a", self.browser.evaluate("JSON.stringify(localStorage)"))
        self.assertEqual(self.browser.evaluate("document.cookie"), "")
        self.browser.open(self.url)
        self.browser.wait("document.getElementById('status').dataset.status === 'ok'")

    def test_a_reply_gets_the_room_that_there_is(self):
        self.open()
        self.browser.evaluate("sessionStorage.setItem('longgen.key', 'secret-a')")
        self.choose(max_tokens=CONTEXT)
        self.browser.choose_files("#file", self.put("long.txt", "y" * (CONTEXT - 200)))
        self.browser.wait("document.querySelector('#files').innerText.includes('tokens')")
        self.send("Go.")
        used = re.fullmatch(r"([\d,]+) of 8,192 tokens", self.browser.wait(f"{IS_DONE} && document.getElementById('room').innerText"))
        self.assertEqual(used[1], "8,192")
        self.send("More?")
        self.browser.wait("document.querySelector('.failure') !== null")
        self.assertRegex(self.browser.text(".failure"), r"^The conversation has 8,\d\d\d tokens, of 8,192 that the model can")


if __name__ == "__main__":
    CliCase.PROGRAM = sys.argv.pop(1)
    unittest.main()
