"""A server that speaks a little of OpenAI's API, with delays that are known: what measures servers is held against it."""

import contextlib
import http.server
import json
import threading
import time


class FakeOpenAi:
    """`fields` are those that requests may have; what else is asked is told by attributes that tests set."""

    FIELDS = {"model", "prompt", "messages", "max_tokens", "temperature", "stream", "ignore_eos", "min_tokens", "stream_options"}

    def __init__(self, **settings):
        self.first_seconds = 0.05  # until the first token
        self.gap_seconds = 0.02
        self.tokens_per_event = 1
        self.says_usage = True
        self.refused = ()          # fields that are answered with 400
        self.fails = lambda number: None  # "whole", "torn", "silent", "no JSON", "no end", "error", or a status, by the request's number
        self.key = None
        self.tokenizes = True
        for name, value in settings.items():
            setattr(self, name, value)
        self.requests = []         # bodies of those that were answered with a stream
        self.most_at_once = self.at_once = 0
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def running(self):
        """Yields the URL."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version = "fake"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.get(self)

            def do_POST(self):
                outer.post(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.socket.listen(256)  # many come at once
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @staticmethod
    def answer(handler, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def get(self, handler):
        if self.key and handler.headers.get("Authorization") != f"Bearer {self.key}":
            return self.answer(handler, 401, {"error": {"message": "wrong key"}})
        if handler.path == "/v1/models":
            return self.answer(handler, 200, {"data": [{"id": "fake-model", "owned_by": "nobody", "max_model_len": 4096}]})
        if handler.path == "/version":
            return self.answer(handler, 200, {"version": "1.2"})
        return self.answer(handler, 404, {"detail": "Not Found"})

    def post(self, handler, body):
        if handler.path == "/tokenize":
            if not self.tokenizes:
                return self.answer(handler, 404, {"detail": "Not Found"})
            return self.answer(handler, 200, {"tokens": [0] * self.count(body["prompt"])})
        named = set(body) | set(body.get("stream_options", {}))
        for field in self.refused:
            if field in named:
                return self.answer(handler, 400, {"error": {"message": f"{field}: unknown field"}})
        assert set(body) <= self.FIELDS, body
        with self.lock:
            self.requests.append(body)
            number = len(self.requests) - 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        is_there = [True]

        def leave():
            with self.lock:
                self.at_once -= is_there.pop() if is_there else 0

        try:
            self.stream(handler, body, self.fails(number), leave)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has gone
        finally:
            leave()

    @staticmethod
    def count(text):
        """A token a word, and one before the text."""
        return 1 + len(text.split())

    def prompt_tokens(self, body):
        prompt = body.get("prompt") or body["messages"][0]["content"]
        around = 7 if "messages" in body else 0  # a template's
        return around + (self.count(prompt) if isinstance(prompt, str) else len(prompt))

    def stream(self, handler, body, fault, leave):
        if isinstance(fault, int):
            return self.answer(handler, fault, {"error": {"message": f"status {fault} it is"}})
        if fault == "whole":
            return self.answer(handler, 200, {"choices": [{"text": "a"}]})
        if fault == "silent":
            time.sleep(3)
        begin = time.monotonic()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        asked = body.get("stream_options", {})

        def send(event):
            data = f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()

        def usage(done):
            return {"prompt_tokens": self.prompt_tokens(body), "completion_tokens": done,
                    "prompt_tokens_details": {"cached_tokens": self.prompt_tokens(body) // 2}}

        done, events = 0, 0
        while done < body["max_tokens"]:
            due = begin + self.first_seconds + events * self.gap_seconds
            time.sleep(max(due - time.monotonic(), 0))
            events += 1
            done = min(done + self.tokens_per_event, body["max_tokens"])
            choice = {"delta": {"content": "a"}} if "messages" in body else {"text": "a"}
            event = {"choices": [{"index": 0, **choice}]}
            if asked.get("continuous_usage_stats") and self.says_usage:
                event["usage"] = usage(done)
            send(event)
            if done > body["max_tokens"] // 2 and fault:
                if fault == "torn":
                    handler.close_connection = True
                    return handler.connection.close()
                if fault == "no JSON":
                    send("{oh")
                if fault == "error":
                    send({"error": {"message": "the engine failed"}})
                handler.wfile.write(b"0\r\n\r\n")
                return None
        send({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        if asked.get("include_usage") and self.says_usage:
            send({"choices": [], "usage": usage(done)})
        leave()  # before the client can know that this is the end, and sends the next one
        send("[DONE]")
        handler.wfile.write(b"0\r\n\r\n")
