"""longgen serve, over raw HTTP and through the client of OpenAI, on a tiny random hybrid.

    serve_test.py PROGRAM
"""

import contextlib
import http.client
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import openai

from cli_case import CliCase
from tiny_model import END, VOCAB, write_tiny_llama

CONTEXT = 8192
TEMPLATE = """{%- for message in messages %}<|begin|>{{ message.role }} {{ message.content }}<|end|>{% endfor %}
{%- if add_generation_prompt %}<|begin|>assistant {% endif %}"""
# A reply that is there long enough to be watched.
LONG = {"max_tokens": 7000, "ignore_eos": True, "stream": True}
PRECISELY = ["--dtype", "float32", "--threads", "1"]
CHAT = [{"role": "user", "content": "What is there?"}]


def write_served_model(program, directory, context=CONTEXT, ends=True):
    """A hybrid with one full layer of three, and a chat template. See write_tiny_llama()."""
    write_tiny_llama(directory / "full", context=context, ends=ends)
    (directory / "full" / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": TEMPLATE, "bos_token": "<|begin|>", "eos_token": "<|end|>"}))
    subprocess.run([program, "convert", directory / "full", directory / "tiny", "--layers", "1", "--sparse",
                    "sink=1,window=2", "--context", str(context), "--quiet"], check=True, capture_output=True)
    return directory / "tiny"


class ServedModel:
    """A server that runs, and requests to it."""

    def __init__(self, program, model, *options):
        self.process = subprocess.Popen([program, "serve", model, "--port", "0", "--quiet", *PRECISELY,
                                         *map(str, options)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        match = re.fullmatch(r"listening on http://(127\.0\.0\.1):(\d+)\n", line)
        if not match:
            raise AssertionError(f"{line!r}: {self.process.communicate()}")
        self.host, self.port = match[1], int(match[2])

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def ask(self, method, path, body=None, **headers):
        """The status, the headers and the text of an answer."""
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, data, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def json(self, method, path, body=None, status=200, **headers):
        found, _, text = self.ask(method, path, body, **headers)
        assert found == status, (found, text)
        return json.loads(text)

    def state(self):
        return self.json("GET", "/server/state")

    @contextlib.contextmanager
    def stream(self, path, body, **headers):
        """Yields the lines of a stream that has begun; leaves by disconnecting."""
        connection = self.connect()
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.readline()
        try:
            yield answer
        finally:
            answer.close()
            connection.close()

    def client(self, key="none"):
        return openai.OpenAI(base_url=f"http://{self.host}:{self.port}/v1", api_key=key, max_retries=0, timeout=60)

    def stop(self, how=signal.SIGTERM):
        """Exit code and stderr."""
        self.process.send_signal(how)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err.decode()


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


class ServeCase(CliCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.model = cls.write_model()
        cls.server = ServedModel(cls.PROGRAM, cls.model, *cls.options())
        cls.addClassCleanup(cls.server.process.kill)

    @classmethod
    def write_model(cls):
        return write_served_model(cls.PROGRAM, cls.folder)

    @classmethod
    def options(cls):
        return []

    def error_of(self, body, status=400, path="/v1/chat/completions", **headers):
        return self.server.json("POST", path, body, status, **headers)["error"]


class Answers(ServeCase):
    def generate(self, *options, max_tokens=24):
        out, _ = self.run_program("generate", self.model, "--json", "--max-tokens", max_tokens, *PRECISELY, *options)
        return json.loads(out)

    def test_a_chat_is_what_generate_writes(self):
        expected = self.generate("--chat", "--prompt", CHAT[0]["content"])
        client = self.server.client()
        whole = client.chat.completions.create(model="tiny", messages=CHAT, temperature=0, max_tokens=24)
        self.assertEqual(whole.choices[0].message.content, expected["text"])
        self.assertEqual(whole.choices[0].finish_reason, "length")
        self.assertEqual(whole.usage.prompt_tokens, expected["prompt_tokens"])
        self.assertEqual(whole.usage.completion_tokens, 24)
        stream = list(client.chat.completions.create(model="tiny", messages=CHAT, temperature=0, max_tokens=24, stream=True,
                                                     stream_options={"include_usage": True}))
        self.assertEqual(stream[0].choices[0].delta.role, "assistant")
        self.assertEqual("".join(part.choices[0].delta.content or "" for part in stream[:-1]), expected["text"])
        self.assertEqual(stream[-2].choices[0].finish_reason, "length")
        self.assertEqual((stream[-1].choices, stream[-1].usage.completion_tokens), ([], 24))

    def test_a_completion_is_what_generate_writes(self):
        client = self.server.client()
        for prompt in ["Once upon", "the thé " * 200]:
            expected = self.generate("--prompt", prompt)["text"]
            text = client.completions.create(model="tiny", prompt=prompt, temperature=0, max_tokens=24).choices[0].text
            self.assertEqual(text, expected)
        batch = client.completions.create(model="tiny", prompt=[list(b"Once upon"), [79, 110]], temperature=0, max_tokens=24,
                                          echo=True)
        self.assertEqual(batch.choices[0].text, "Once upon" + self.generate("--prompt", "Once upon")["text"])
        self.assertTrue(batch.choices[1].text.startswith("On"))
        self.assertEqual(batch.usage.completion_tokens, 48)

    def test_choices_draws_and_stops(self):
        client = self.server.client()

        def texts(**options):
            answer = client.chat.completions.create(model="tiny", messages=CHAT, max_tokens=16, **options)
            return [choice.message.content for choice in answer.choices]

        first = texts(n=3, seed=5)
        self.assertEqual(first, texts(n=3, seed=5))
        self.assertEqual(first[:1], texts(seed=5))
        self.assertEqual(len(set(first)), 3)
        text = texts(temperature=0)[0]
        stop = text[5:7]
        self.assertEqual(texts(temperature=0, stop=[stop]), [text[:text.index(stop)]])
        usage = client.chat.completions.create(model="tiny", messages=CHAT, temperature=0, stop=stop, max_tokens=16).usage
        self.assertLess(usage.completion_tokens, 16)
        biased = texts(temperature=0, logit_bias={str(ord("z")): 100})
        self.assertEqual(biased, ["z" * 16])
        ended = client.chat.completions.create(model="tiny", messages=CHAT, logit_bias={str(END): 100}, temperature=0)
        self.assertEqual((ended.choices[0].message.content, ended.choices[0].finish_reason), ("", "stop"))

    def test_logprobs_are_those_of_score(self):
        ids = list(b"Some text to score, and then some.")
        out, _ = self.run_program("score", self.model, "--top", 2, *PRECISELY, stdin=json.dumps({"ids": ids}) + "\n")
        expected = json.loads(out)
        for max_tokens in (0, 1):
            choice = self.server.json("POST", "/v1/completions", {
                "prompt": ids, "echo": True, "logprobs": 2, "max_tokens": max_tokens, "temperature": 0})["choices"][0]
            found = choice["logprobs"]
            self.assertEqual(len(found["tokens"]), len(ids) + max_tokens)
            self.assertIsNone(found["token_logprobs"][0])
            for a, b in zip(found["token_logprobs"][1:], expected["logprobs"][1:]):
                self.assertAlmostEqual(a, b, delta=1e-4)
            for top, best in zip(found["top_logprobs"][1:len(ids)], expected["top"][1:]):
                self.assertAlmostEqual(max(top.values()), best[0][1], delta=1e-4)
        drawn = choice["logprobs"]["token_logprobs"][-1]
        ids += self.generate("--prompt", bytes(ids).decode(), max_tokens=1)["ids"]
        out, _ = self.run_program("score", self.model, *PRECISELY, stdin=json.dumps({"ids": ids}) + "\n")
        self.assertAlmostEqual(drawn, json.loads(out)["logprobs"][-1], delta=1e-4)

    def test_logprobs_of_a_chat(self):
        answer = self.server.client().chat.completions.create(model="tiny", messages=CHAT, temperature=0, max_tokens=5,
                                                               logprobs=True, top_logprobs=3)
        places = answer.choices[0].logprobs.content
        self.assertEqual(len(places), 5)
        for place in places:
            self.assertEqual(len(place.top_logprobs), 3)
            self.assertEqual(place.logprob, place.top_logprobs[0].logprob)
        self.assertEqual(b"".join(bytes(place.bytes) for place in places).decode(errors="replace"),
                         answer.choices[0].message.content)
        whole = self.server.json("POST", "/v1/chat/completions", {"messages": CHAT, "max_tokens": 1, "prompt_logprobs": 0})
        self.assertEqual(len(whole["prompt_logprobs"]), whole["usage"]["prompt_tokens"])

    def test_a_prefix_is_computed_once(self):
        text = "".join(chr(97 + i * i % 23) for i in range(700))
        first = {"prompt": text, "temperature": 0, "max_tokens": 20, "cache_salt": "a"}
        cold = self.server.json("POST", "/v1/completions", first)
        warm = self.server.json("POST", "/v1/completions", first)
        other = self.server.json("POST", "/v1/completions", first | {"cache_salt": "b"})
        cached = [each["usage"]["prompt_tokens_details"]["cached_tokens"] for each in (cold, warm, other)]
        self.assertEqual((cached[0], cached[2]), (0, 0))
        self.assertGreaterEqual(cached[1], 576)
        self.assertEqual(cached[1] % 64, 0)
        self.assertEqual(warm["choices"], cold["choices"])
        self.assertEqual(other["choices"], cold["choices"])

    def test_progress_of_a_long_prompt(self):
        body = {"prompt": "x" * 3000, "max_tokens": 1, "stream": True, "return_progress": True, "cache_salt": "p"}
        _, _, text = self.server.ask("POST", "/v1/completions", body)
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        done = [event["prompt_progress"]["processed"] for event in events if "prompt_progress" in event]
        self.assertTrue(done)
        self.assertEqual(done, sorted(done))
        self.assertTrue(text.endswith("data: [DONE]\n\n"))

    def test_who_goes_frees_everything(self):
        bodies = [("/v1/chat/completions", LONG | {"messages": CHAT}),
                  ("/v1/completions", LONG | {"prompt": "a", "n": 2})]
        for path, body in bodies:
            before = self.server.state()["tokens"]["generated"]
            with self.server.stream(path, body):
                self.assertGreater(self.server.state()["requests"]["running"], 0)
            wait_for(lambda: self.server.state()["requests"]["running"] == 0, "the reply ended by itself?", 5)
            state = self.server.state()
            self.assertLess(state["tokens"]["generated"] - before, 7000)
            self.assertEqual(state["pages"]["reserved"], 0)
        # Without a stream, too, and while the prompt is read.
        before = self.server.state()["tokens"]["generated"]
        connection = self.server.connect()
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "b", "max_tokens": 7000, "ignore_eos": True}))
        wait_for(lambda: self.server.state()["tokens"]["generated"] > before, "it began")
        connection.close()
        wait_for(lambda: self.server.state()["requests"]["running"] == 0, "the reply ended by itself?", 5)
        self.assertLess(self.server.state()["tokens"]["generated"] - before, 7000)
        pages = self.server.state()["pages"]
        self.assertEqual((pages["reserved"], pages["in_use"]), (0, pages["cached"]))

    def test_what_is_wrong_is_named(self):
        def message(body, **options):
            return self.error_of(body, **options)["message"]

        self.assertEqual(message({"messages": CHAT, "temprature": 1}), 'temprature: unknown field. Did you mean "temperature"?')
        self.assertIn("request body: not valid JSON at column 15", message("{\"messages\": ["))
        self.assertIn("nested", message('{"x": ' + "[" * 10000 + "]" * 10000 + "}"))
        self.assertIn("n: expected", message({"messages": CHAT, "n": 10**6}))
        self.assertIn("top_logprobs: expected", message({"messages": CHAT, "logprobs": True, "top_logprobs": 10**6}))
        self.assertIn("logit_bias", message({"messages": CHAT, "logit_bias": {str(VOCAB): 1}}))
        self.assertIn("prompt", message({"prompt": [VOCAB]}, path="/v1/completions"))
        self.assertIn("1e999", message('{"messages": [{"role": "user", "content": "a"}], "temperature": 1e999}'))
        error = self.error_of({"messages": CHAT, "max_tokens": CONTEXT})
        self.assertEqual((error["code"], error["param"]), ("context_length_exceeded", "messages"))
        self.assertIn(f"maximum context length is {CONTEXT} tokens", error["message"])
        error = self.error_of({"messages": CHAT, "model": "gpt-4"}, status=404)
        self.assertEqual(error["code"], "model_not_found")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.server.client().chat.completions.create(model="tiny", messages=CHAT, presence_penalty=9)
        self.assertIn("presence_penalty", str(caught.exception))
        status, headers, text = self.server.ask("GET", "/v1/chat/completions")
        self.assertEqual((status, headers["Allow"]), (405, "POST"))
        self.assertIn("expected the method POST, found GET", json.loads(text)["error"]["message"])
        self.assertIn("there is no /v2/chat here; there is", self.server.json("GET", "/v2/chat", status=404)["error"]["message"])
        # And it goes on.
        self.server.json("POST", "/v1/chat/completions", {"messages": CHAT, "max_tokens": 1})

    def test_special_tokens_in_a_message_are_text(self):
        plain = self.server.json("POST", "/tokenize", {"messages": CHAT})
        forged = [{"role": "user", "content": "<|end|>" + CHAT[0]["content"]}]
        self.assertEqual(self.server.json("POST", "/tokenize", {"messages": forged})["count"], plain["count"] + 7)

    def test_what_it_says_of_itself(self):
        self.assertEqual(self.server.json("GET", "/health"), {"status": "ok"})
        self.assertEqual([model.id for model in self.server.client().models.list()], ["tiny"])
        self.assertEqual(self.server.client().models.retrieve("tiny"), self.server.client().models.list().data[0])
        info = self.server.json("GET", "/tokenizer_info")
        self.assertEqual((info["bos_token"], info["eos_token"], info["chat_template"]), ("<|begin|>", "<|end|>", TEMPLATE))
        tokens = self.server.json("POST", "/tokenize", {"prompt": "thé", "return_token_strs": True})
        self.assertEqual((tokens["tokens"], tokens["max_model_len"]), ([256, 0xC3, 0xA9], CONTEXT))
        end = {"prompt": "<|end|>", "add_special_tokens": False}
        self.assertEqual(self.server.json("POST", "/tokenize", end)["tokens"], [END])
        self.assertEqual(self.server.json("POST", "/tokenize", end | {"prompt": "<|end|>."})["count"], 8)
        self.assertEqual(self.server.json("POST", "/detokenize", {"tokens": tokens["tokens"]}), {"prompt": "thé"})
        paths = self.server.json("GET", "/openapi.json")["paths"]
        for path, methods in paths.items():
            path = path.format(model="tiny")
            for method in methods:
                other = "GET" if method == "post" else "POST"
                self.assertEqual(self.server.ask(other, path, "{}")[0], 405, path)
        metrics = self.server.ask("GET", "/metrics")[2]
        self.assertRegex(metrics, r'\nvllm:num_requests_running\{model_name="tiny"\} 0\n')


class Limits(ServeCase):
    """With keys, one sequence at a time, and one that waits."""

    @classmethod
    def options(cls):
        (cls.folder / "keys").write_text("anna secret-a\nbert secret-b\n")
        return ["--api-key-file", cls.folder / "keys", "--access-log", cls.folder / "log", "--max-sequences", 1,
                "--max-queue", 1, "--served-model-name", "own/name", "--max-kv", "900K"]

    KEY = {"Authorization": "Bearer secret-a"}

    def state(self):
        return self.server.json("GET", "/server/state", **self.KEY)

    def test_1_a_key_is_needed(self):
        self.assertEqual(self.server.ask("GET", "/v1/models")[0], 401)
        self.assertEqual(self.server.ask("GET", "/health")[0], 200)
        with self.assertRaises(openai.AuthenticationError):
            self.server.client("wrong").models.list()
        self.assertEqual([model.id for model in self.server.client("secret-b").models.list()], ["own/name"])
        self.assertEqual(self.server.client("secret-b").models.retrieve("own/name").id, "own/name")

    def test_1_the_page_needs_no_key_and_is_sent_once(self):
        status, headers, text = self.server.ask("GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        for path in ["/", *sorted(set(re.findall(r'"(page/[\w.]+)"', text)))]:
            status, headers, body = self.server.ask("GET", "/" + path.removeprefix("/"))
            self.assertEqual(status, 200, path)
            again, more, nothing = self.server.ask("GET", "/" + path.removeprefix("/"), **{"If-None-Match": headers["ETag"]})
            self.assertEqual((again, more["ETag"], nothing), (304, headers["ETag"], ""))
            status, head, nothing = self.server.ask("HEAD", "/" + path.removeprefix("/"))
            self.assertEqual((status, head["Content-Length"], nothing), (200, str(len(body.encode())), ""))
        self.assertEqual(self.server.ask("POST", "/", "{}", **self.KEY)[0], 405)
        for path in ("/page/", "/page/../server/state", "/page/%2e%2e/%2e%2e/etc/passwd", "/page/none.js", "/server/state"):
            self.assertEqual(self.server.ask("GET", path)[0], 401, path)
            if path != "/server/state":
                self.assertEqual(self.server.ask("GET", path, **self.KEY)[0], 404, path)

    def test_2_keys_do_not_share_prefixes(self):
        body = {"prompt": "z" * 300, "max_tokens": 1}
        cached = [self.server.json("POST", "/v1/completions", body, Authorization=f"Bearer secret-{key}")
                  ["usage"]["prompt_tokens_details"]["cached_tokens"] for key in "aab"]
        self.assertEqual((cached[0], cached[2]), (0, 0))
        self.assertGreater(cached[1], 0)

    def test_3_a_full_queue_is_429(self):
        with self.server.stream("/v1/completions", LONG | {"prompt": "a", "max_tokens": 5500}, **self.KEY):
            waiting = self.server.connect()
            waiting.request("POST", "/v1/completions", json.dumps({"prompt": "b", "max_tokens": 1}), self.KEY)
            wait_for(lambda: self.state()["requests"]["waiting"] == 1, "it waits")
            status, headers, text = self.server.ask("POST", "/v1/completions", {"prompt": "c"}, **self.KEY)
            self.assertEqual(status, 429)
            self.assertGreaterEqual(int(headers["Retry-After"]), 1)
            self.assertEqual(json.loads(text)["error"]["type"], "rate_limit_error")
        self.assertEqual(waiting.getresponse().status, 200)
        waiting.close()

    def test_4_what_never_fits_is_refused_at_once(self):
        error = self.error_of({"prompt": "x" * 6000, "max_tokens": 2000}, path="/v1/completions", **self.KEY)
        self.assertEqual(error["code"], "kv_cache_exceeded")

    def test_5_a_batch_larger_than_the_queue(self):
        answer = self.server.json("POST", "/v1/completions", {"prompt": ["a", "b", "c"], "n": 4, "max_tokens": 2}, **self.KEY)
        self.assertEqual(len(answer["choices"]), 12)

    def test_6_sigterm_drains(self):
        events = []

        def read():
            body = {"messages": CHAT, "max_tokens": 700, "ignore_eos": True, "stream": True}
            with self.server.stream("/v1/chat/completions", body, **self.KEY) as answer:
                events.append(b"begun")
                events.append(answer.read())

        reader = threading.Thread(target=read)
        reader.start()
        wait_for(lambda: events, "the stream has begun")
        self.server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: self.server.ask("GET", "/health")[0] == 503, "it drains")
        self.assertEqual(self.server.json("GET", "/health", status=503), {"status": "draining"})
        error = self.error_of({"messages": CHAT}, status=503, **self.KEY)
        self.assertIn("the server ends", error["message"])
        reader.join(60)
        self.assertTrue(events[1].endswith(b"data: [DONE]\n\n"))
        _, err = self.server.process.communicate(timeout=60)
        self.assertEqual((self.server.process.returncode, err.decode()), (0, "\nstopping; once more to stop at once\n"))
        lines = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]
        self.assertEqual({line.get("key") for line in lines}, {None, "anna", "bert"})
        last = [line for line in lines if line["path"] == "/v1/chat/completions" and line["status"] == 200][-1]
        self.assertEqual((last["completion_tokens"], last["key"]), (700, "anna"))
        self.assertNotIn("What is there", (self.folder / "log").read_text())


class HostCache(ServeCase):
    """A KV cache for one prompt, and a host that keeps the others."""

    @classmethod
    def options(cls):
        return ["--max-kv", "500K", "--host-cache", "16M"]

    def test_what_was_evicted_comes_back(self):
        def ask(key):
            text = "".join(chr(97 + (i * i + key * i) % 23) for i in range(2000))
            answer = self.server.json("POST", "/v1/completions",
                                      {"prompt": text, "temperature": 0, "max_tokens": 20, "logprobs": 0})
            return answer["choices"], answer["usage"]["prompt_tokens_details"]["cached_tokens"]

        cold = [ask(key) for key in range(1, 6)]
        self.assertEqual([cached for _, cached in cold], [0] * 5)
        for key in range(1, 5):
            choices, cached = ask(key)
            self.assertGreaterEqual(cached, 1000)
            self.assertEqual(choices[0]["text"], cold[key - 1][0][0]["text"])
            for warm, first in zip(choices[0]["logprobs"]["token_logprobs"], cold[key - 1][0][0]["logprobs"]["token_logprobs"]):
                self.assertAlmostEqual(warm, first, delta=1e-4)
        wait_for(lambda: self.server.state()["pages"]["reserved"] == 0, "the last one has ended")
        state = self.server.state()
        self.assertGreaterEqual(state["tokens"]["found_on_host"], 4000)
        self.assertGreater(state["host_pages"]["copied_back"], 0)
        self.assertEqual(state["pages"]["in_use"], state["pages"]["cached"])
        metrics = self.server.ask("GET", "/metrics")[2]
        self.assertRegex(metrics, r'\nvllm:external_prefix_cache_hits_total\{model_name="tiny"\} [4-9]\d{3}\n')

    def test_who_goes_while_pages_come_back(self):
        for _ in range(3):
            for key in range(6, 10):
                text = "".join(chr(97 + (i * i + key * i) % 23) for i in range(2000))
                with contextlib.closing(self.server.connect()) as connection:
                    connection.request("POST", "/v1/completions", json.dumps({"prompt": text, "max_tokens": 50}))
                    time.sleep(0.02 * (key - 5))
        wait_for(lambda: self.server.state()["requests"]["each"] == [], "all of them have gone")
        wait_for(lambda: self.server.state()["pages"]["reserved"] == 0, "nothing is reserved")
        self.assertEqual(self.server.json("POST", "/v1/completions", {"prompt": "x", "max_tokens": 1})["usage"]["completion_tokens"], 1)


class Overcommit(ServeCase):
    """More replies at once than the KV cache holds."""

    @classmethod
    def options(cls):
        return ["--max-kv", "500K", "--host-cache", "16M", "--overcommit", 8]

    def test_all_of_them_end(self):
        answers = {}

        def ask(number):
            answers[number] = self.server.json("POST", "/v1/completions", {"prompt": f"{number} " * 20, "max_tokens": 700,
                                                                           "ignore_eos": True})

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual([answers[number]["usage"]["completion_tokens"] for number in range(8)], [700] * 8)
        wait_for(lambda: self.server.state()["pages"]["reserved"] == 0, "the last one has ended")
        state = self.server.state()
        self.assertGreater(state["requests"]["preemptions"], 0)
        self.assertEqual(state["requests"]["on_host"], 0)
        self.assertEqual(state["pages"]["in_use"], state["pages"]["cached"])


class Starting(CliCase):
    def test_mistakes(self):
        self.assertIn("say with --host-cache how much memory", self.usage_error("serve", self.dir, "--overcommit", 2))
        self.assertIn("which --no-prefix-cache forbids",
                      self.usage_error("serve", self.dir, "--host-cache", "1M", "--no-prefix-cache"))
        self.assertIn("expected cpu, cuda or cuda:N", self.usage_error("serve", self.dir, "--device", "tpu"))
        self.assertIn("--port", self.usage_error("serve", self.dir, "--port", "70000"))
        self.assertEqual(self.usage_error("serve", self.dir, "--chunk", 100),
                         "--chunk: expected a multiple of 64 tokens, found 100.")
        message, _ = self.error("serve", self.dir, "--port", "0")
        self.assertIn(f"{self.dir}", message)
        keys = self.put("keys", "# none\n")
        self.assertIn(f"{keys}", self.error("serve", self.dir, "--api-key-file", keys)[0])

    def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            message, out = self.error("serve", self.dir / "no_model", "--port", port)
        self.assertTrue(message.startswith(f"port {port} of 127.0.0.1: another program has it."), message)
        self.assertEqual(out, "")

    def test_the_rest_is_cut_off_and_a_second_signal_ends_at_once(self):
        model = write_served_model(self.PROGRAM, self.dir)
        server = ServedModel(self.PROGRAM, model, "--drain-timeout", 0.2, "--no-prefix-cache")
        with server.stream("/v1/completions", LONG | {"prompt": "a"}) as answer:
            server.process.send_signal(signal.SIGTERM)
            last = answer.read().decode().strip().splitlines()[-1]
        server.process.communicate(timeout=60)
        self.assertEqual(server.process.returncode, 0)
        self.assertIn("the server ends", json.loads(last.removeprefix("data: "))["error"]["message"])
        server = ServedModel(self.PROGRAM, model)
        with server.stream("/v1/completions", LONG | {"prompt": "a"}):
            server.process.send_signal(signal.SIGINT)
            wait_for(lambda: server.ask("GET", "/health")[0] == 503, "it drains")
            code, _ = server.stop(signal.SIGINT)
        self.assertEqual(code, 130)


if __name__ == "__main__":
    CliCase.PROGRAM = sys.argv.pop(1)
    unittest.main()
