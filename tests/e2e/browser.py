"""Chromium without a window, driven through its devtools protocol over two pipes: nothing but the standard library."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, ""), " ": ("Space", 32, " ")}


class Browser:
    """One page of one browser. Whatever its console says that is no plain log is kept in `complaints`."""

    def __init__(self, *, timeout=20):
        self.timeout, self.complaints, self.requests, self.paused, self.loaded = timeout, [], [], [], set()
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        ours, theirs = self.start()
        self.commands, self.answers = ours
        for fd in theirs:
            os.close(fd)
        self.buffer, self.number = b"", 0
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def start(self):
        """The browser reads commands from descriptor 3 and writes to 4."""
        from_us, commands = os.pipe()
        answers, to_us = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (from_us, to_us)]
        os.close(from_us)
        os.close(to_us)

        def give():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
             "--user-data-dir=" + self.folder.name, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=give, pass_fds=(3, 4), start_new_session=True)
        return (commands, answers), high

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(10)
        for fd in (self.commands, self.answers):
            os.close(fd)
        self.folder.cleanup()

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + self.timeout
        while True:
            answer = self.read(end)
            assert answer is not None, f"{method}: no answer"
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self.take(answer)

    def read(self, end):
        while b"\0" not in self.buffer:
            if not select.select([self.answers], [], [], max(0, end - time.monotonic()))[0]:
                return None
            more = os.read(self.answers, 1 << 16)
            assert more, "the browser has ended"
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def take(self, event):
        method, what = event.get("method"), event.get("params", {})
        if method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(what["entry"]["text"] + " " + what["entry"].get("url", ""))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"]["exception"].get("description", str(what)))
        elif method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif method == "Fetch.requestPaused":
            self.paused.append(what)
        elif method == "Page.lifecycleEvent" and what["name"] == "load":
            self.loaded.add(what["loaderId"])

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, (expression, result["exceptionDetails"])
        return result["result"].get("value")

    def wait(self, expression, seconds=None):
        """Waits until a JavaScript expression is true, and gives its value."""
        end = time.monotonic() + (seconds or self.timeout)
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"{expression}: still {value!r}; {self.complaints}"
            time.sleep(0.02)
        return value

    def take_until(self, condition, what):
        end = time.monotonic() + self.timeout
        while not condition():
            event = self.read(end)
            assert event is not None, what
            self.take(event)

    def open(self, url):
        """Returns when the page is there, and nothing of the one before."""
        loader = self.call("Page.navigate", url=url)["loaderId"]
        self.take_until(lambda: loader in self.loaded, f"{url} does not load")
        # Keys that come before a page is painted are dropped.
        self.evaluate("new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(() => then())))")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")

    def write(self, text):
        """Writes where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key, shift=False):
        code, number, text = KEYS.get(key, ("", ord(key[0].upper()), key))
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def choose_files(self, selector, *paths):
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")["result"]
        self.call("DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=node["objectId"])

    def resize(self, width, height, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def prefer(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def answer_with(self, url_pattern, body, content_type):
        """Answers the next request to such an address in the server's place, once it has come."""
        self.call("Fetch.enable", patterns=[{"urlPattern": url_pattern}])
        return lambda: self.fulfil(body, content_type)

    def fulfil(self, body, content_type):
        self.take_until(lambda: self.paused, "no such request")
        self.call("Fetch.fulfillRequest", requestId=self.paused.pop(0)["requestId"], responseCode=200,
                  responseHeaders=[{"name": "Content-Type", "value": content_type}],
                  body=base64.b64encode(body.encode()).decode())
        self.call("Fetch.disable")
