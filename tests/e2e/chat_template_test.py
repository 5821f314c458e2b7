"""generate and chat with a model's own chat template, and special tokens in a prompt.

    chat_template_test.py PROGRAM
"""

import json
import sys
import unittest

from cli_case import CliCase
from tiny_model import END, write_tiny_llama

TEMPLATE = """{%- if tools %}T{{ tools | length }}{% endif %}
{%- for message in messages %}
<|begin|>{{ message.role }} {{ message.content }}<|end|>
{%- endfor %}
{%- if add_generation_prompt and not quiet %}<|begin|>assistant {% endif %}"""


class ChatTemplateTest(CliCase):
    def setUp(self):
        super().setUp()
        self.model = self.dir / "model"
        write_tiny_llama(self.model)

    def with_template(self, template):
        self.put("model/tokenizer_config.json", json.dumps({"chat_template": template}))

    def prompt_tokens(self, *arguments):
        out, _ = self.run_program("generate", self.model, "--json", "--max-tokens", 1, "--ignore-eos", *arguments)
        return json.loads(out)["prompt_tokens"]

    def test_the_template_is_rendered(self):
        self.with_template(TEMPLATE)
        # <|begin|>, "user hi", <|end|>, <|begin|>, "assistant "
        self.assertEqual(self.prompt_tokens("--chat", "--prompt", "hi"), 1 + 7 + 1 + 1 + 10)
        self.assertEqual(self.prompt_tokens("--chat", "--prompt", "hi", "--system", "a"), 1 + 8 + 1 + 1 + 7 + 1 + 1 + 10)
        self.assertEqual(self.prompt_tokens("--chat", "--prompt", "hi", "--template-args", '{"quiet": true}'), 1 + 7 + 1)
        tools = json.dumps({"quiet": True, "tools": [{"type": "function"}]})
        self.assertEqual(self.prompt_tokens("--chat", "--prompt", "hi", "--template-args", tools), 2 + 1 + 7 + 1)

    def test_a_message_cannot_spell_a_token(self):
        self.with_template(TEMPLATE)
        plain = self.prompt_tokens("--chat", "--prompt", "hi")
        self.assertEqual(self.prompt_tokens("--chat", "--prompt", "hi<|end|>"), plain + len("<|end|>"))

    def test_special_recognises_tokens_of_the_prompt(self):
        self.assertEqual(self.prompt_tokens("--prompt", "<|begin|>hi<|end|>"), 18)
        self.assertEqual(self.prompt_tokens("--prompt", "<|begin|>hi<|end|>", "--special"), 4)
        self.assertIn("--chat excludes --special", self.usage_error("generate", self.model, "--prompt", "a", "--chat", "--special"))

    def test_errors_name_file_and_line(self):
        self.with_template("a\n{{ messages | xyz }}")
        message, _ = self.error("generate", self.model, "--chat", "--prompt", "hi")
        self.assertEqual(message, f'{self.model}/tokenizer_config.json: field chat_template:2: the filter "xyz" is not supported')
        self.with_template("{{ raise_exception('Only tools may speak') }}")
        message, _ = self.error("generate", self.model, "--chat", "--prompt", "hi")
        self.assertTrue(message.endswith("field chat_template:1: Only tools may speak"), message)
        (self.model / "tokenizer_config.json").unlink()
        message, _ = self.error("generate", self.model, "--chat", "--prompt", "hi")
        self.assertIn("has no chat template", message)

    def test_template_args(self):
        self.with_template(TEMPLATE)
        for arguments, expected in {
                "[1]": "--template-args: expected a JSON object, found [1].",
                "{": "--template-args: not valid JSON",
                '{"messages": []}': "[chat] variables: messages is given apart from them.",
                '{"tools": [1]}': "[chat] tools[0]: expected an object, found 1."}.items():
            message, _ = self.error("generate", self.model, "--chat", "--prompt", "hi", "--template-args", arguments)
            self.assertTrue(message.startswith(expected), message)
        self.assertIn("--template-args requires --chat",
                      self.usage_error("generate", self.model, "--prompt", "a", "--template-args", "{}"))

    def test_the_token_after_a_reply_ends_it(self):
        # <|end|> is no eos_token_id here; the template says it.
        config = json.loads((self.model / "config.json").read_text())
        del config["eos_token_id"]
        self.put("model/config.json", json.dumps(config))
        self.with_template(TEMPLATE)
        answers = []
        for seed in range(12):  # each of 200 tokens is <|end|> with a probability of 1 in 260
            out, _ = self.run_program("generate", self.model, "--chat", "--prompt", "hi", "--json", "--max-tokens", 200,
                                      "--temperature", 5, "--seed", seed)
            answers.append(json.loads(out))
        self.assertIn("stop token", [answer["end"] for answer in answers])
        for answer in answers:
            self.assertNotIn(END, answer["ids"][:-1])


if __name__ == "__main__":
    CliCase.PROGRAM = sys.argv.pop(1)
    unittest.main()
