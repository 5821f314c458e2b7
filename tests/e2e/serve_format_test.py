"""Replies of a given form (response_format, tool_choice) of longgen serve, on a tiny random hybrid: whatever it draws parses
and follows the schema.

    serve_format_test.py PROGRAM
"""

import json
import sys
import threading
import unittest

import jsonschema

from cli_case import CliCase
from serve_test import CHAT, TEMPLATE, ServeCase, ServedModel, write_served_model
from tiny_model import END

TOOLS_TEMPLATE = TEMPLATE + """{%- for message in messages %}{% for call in message.tool_calls %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endfor %}"""
LLAMA_TEMPLATE = TEMPLATE + """{%- for message in messages %}{% for call in message.tool_calls %}{"name": "{{ call.function.name }}", "parameters": {{
call.function.arguments | tojson }}}{% endfor %}{% endfor %}"""

SCHEMAS = [
    {"type": "object", "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
                                      "kind": {"enum": ["cat", "dög", None, 7]}, "tags": {"type": "array", "maxItems": 3, "items": {"type": "boolean"}}},
     "required": ["name", "age", "kind", "tags"], "additionalProperties": False},
    {"type": "object", "properties": {"when": {"type": "string", "format": "date"}, "share": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
                                      "code": {"type": "string", "pattern": "^[A-Z]{2}-\\d{1,3}$"}}, "required": ["when", "share", "code"]},
    {"$defs": {"node": {"type": "object", "properties": {"value": {"type": ["integer", "null"], "maximum": 9, "minimum": -9},
                                                         "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["value"]}},
     "$ref": "#/$defs/node"},
    {"type": "array", "prefixItems": [{"const": "point"}], "items": {"type": "integer", "minimum": -5, "maximum": 5}, "minItems": 3, "maxItems": 4},
]
FUNCTIONS = [
    {"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 9}, "metric": {"type": "boolean"}},
        "required": ["days", "metric"]}}},
    {"type": "function", "function": {"name": "stop"}},
]
# Digits, letters and white space of a random model could go on for ever.
MANY = {"max_tokens": 400, "temperature": 1.0}


def schema_format(schema):
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": True}}


class Formats(ServeCase):
    @classmethod
    def options(cls):
        return ["--max-sequences", 16]

    def ask(self, **fields):
        return self.server.client().chat.completions.create(model="tiny", messages=CHAT, **MANY | fields)

    def test_replies_follow_their_schema(self):
        num_whole = 0
        for schema in SCHEMAS:
            for choice in self.ask(response_format=schema_format(schema), n=12, seed=5).choices:
                with self.subTest(schema=schema, text=choice.message.content):
                    if choice.finish_reason == "length":
                        continue
                    self.assertEqual(choice.finish_reason, "stop")
                    jsonschema.validate(json.loads(choice.message.content), schema)
                    num_whole += 1
        self.assertGreater(num_whole, 30)

    def test_any_object(self):
        # A bias makes strings and objects end.
        bias = {str(ord(c)): 6 for c in '"}'}
        num_whole = 0
        for choice in self.ask(response_format={"type": "json_object"}, n=12, seed=1, logit_bias=bias).choices:
            self.assertTrue(choice.message.content.startswith("{"))
            if choice.finish_reason == "stop":
                self.assertIsInstance(json.loads(choice.message.content), dict)
                num_whole += 1
        self.assertGreater(num_whole, 4)

    def test_white_space_ends(self):
        bias = {str(ord(c)): 100 for c in " \n\t"}
        text = self.ask(response_format=schema_format(SCHEMAS[0]), logit_bias=bias, seed=3).choices[0].message.content
        self.assertLessEqual(max(len(run) for run in text.replace("\n", " ").replace("\t", " ").split('"')[0::2]), 200)
        self.assertIn('"name"', text)

    def test_greedy_and_streamed_replies_are_the_same(self):
        fields = {"response_format": schema_format(SCHEMAS[1]), "temperature": 0, "max_tokens": 60}
        whole = self.ask(**fields).choices[0]
        parts = list(self.ask(stream=True, **fields))
        self.assertEqual("".join(part.choices[0].delta.content or "" for part in parts if part.choices), whole.message.content)

    def test_others_get_what_they_get_alone(self):
        alone = self.ask(seed=9, max_tokens=60).choices[0].message.content
        beside = threading.Thread(target=lambda: self.ask(response_format=schema_format(SCHEMAS[0]), n=8, seed=2))
        beside.start()
        self.assertEqual(self.ask(seed=9, max_tokens=60).choices[0].message.content, alone)
        beside.join()

    def test_completions_have_forms_too(self):
        answer = self.server.json("POST", "/v1/completions", {"prompt": "a", "response_format": schema_format({"enum": ["yes", "no"]}),
                                                              "max_tokens": 8, "logprobs": 2})
        choice = answer["choices"][0]
        self.assertIn(choice["text"], ('"yes"', '"no"'))
        self.assertEqual(choice["finish_reason"], "stop")
        self.assertTrue(all(value <= 0 for value in choice["logprobs"]["token_logprobs"]))

    def test_cut_replies_say_so(self):
        choice = self.ask(response_format=schema_format(SCHEMAS[0]), max_tokens=3).choices[0]
        self.assertEqual(choice.finish_reason, "length")

    def test_what_cannot_be_is_refused_by_name(self):
        json_object = {"messages": CHAT, "response_format": {"type": "json_object"}}

        def refused(body):
            error = self.error_of(body)
            return error["param"], error["message"]

        self.assertEqual(refused(json_object | {"min_tokens": 5})[0], "min_tokens")
        self.assertEqual(refused(json_object | {"ignore_eos": True})[0], "ignore_eos")
        self.assertEqual(refused(json_object | {"stop_token_ids": [END, 65]})[0], "stop_token_ids[1]")
        schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "uniqueItems": True}}}}
        param, message = refused({"messages": CHAT, "response_format": schema_format(schema)})
        self.assertEqual(param, "response_format.json_schema.schema.properties.a.items.uniqueItems")
        self.assertIn("this keyword is not supported here", message)
        param, message = refused({"messages": CHAT, "response_format": schema_format({"enum": ["a" * 70000]})})
        self.assertEqual(param, "response_format.json_schema.schema")
        self.assertIn("at most 65536 bytes", message)
        self.assertEqual(self.ask(response_format={"type": "json_object"}, max_tokens=2, stop=["x"]).usage.completion_tokens, 2)


class Calls(CliCase):
    def server(self, template):
        model = write_served_model(self.PROGRAM, self.dir)
        (model / "tokenizer_config.json").write_text(
            json.dumps({"chat_template": template, "bos_token": "<|begin|>", "eos_token": "<|end|>"}))
        server = ServedModel(self.PROGRAM, model)
        self.addCleanup(lambda: server.process.communicate())
        self.addCleanup(server.process.kill)
        return server

    def check(self, server):
        def ask(choice, **fields):
            return server.client().chat.completions.create(
                model="tiny", messages=CHAT, tools=FUNCTIONS, tool_choice=choice, **MANY | fields)

        names = set()
        for choice in ask("required", n=16, seed=4).choices:
            if choice.finish_reason == "length":
                continue
            self.assertEqual((choice.finish_reason, choice.message.content), ("tool_calls", None))
            for call in choice.message.tool_calls:
                names.add(call.function.name)
                arguments = json.loads(call.function.arguments)
                if call.function.name == "weather":
                    jsonschema.validate(arguments, FUNCTIONS[0]["function"]["parameters"])
                else:
                    self.assertEqual(arguments, {})
        self.assertEqual(names, {"weather", "stop"})
        named = ask({"type": "function", "function": {"name": "weather"}}, temperature=0).choices[0]
        self.assertEqual([call.function.name for call in named.message.tool_calls], ["weather"])
        body = {"messages": CHAT, "tools": FUNCTIONS, "response_format": {"type": "json_object"}}
        self.assertEqual(server.json("POST", "/v1/chat/completions", body, 400)["error"]["param"], "response_format")
        wrong = [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]
        body = {"messages": CHAT, "tools": wrong, "tool_choice": "required"}
        self.assertEqual(server.json("POST", "/v1/chat/completions", body, 400)["error"]["param"], "tools[0].function.parameters.type")

    def test_as_hermes_writes_them(self):
        self.check(self.server(TOOLS_TEMPLATE))

    def test_as_llama_writes_them(self):
        self.check(self.server(LLAMA_TEMPLATE))


if __name__ == "__main__":
    CliCase.PROGRAM = sys.argv.pop(1)
    unittest.main()
