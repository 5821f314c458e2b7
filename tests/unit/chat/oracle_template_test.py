"""Chat templates against transformers' apply_chat_template: texts, ids, and the tokens that end a turn.

    oracle_template_test.py ORACLE_TOOL

The templates (oracle_templates.py) are short ones with the constructs of real ones.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402
from transformers.utils import chat_template_utils  # noqa: E402

import oracle_templates  # noqa: E402

TOOL = ""
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 7, 4, 15, 9, 8)


def ask(requests):
    lines = "\n".join(json.dumps(request) for request in requests)
    done = subprocess.run([TOOL], input=lines.encode(), capture_output=True)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode())
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([json.dumps(oracle_templates.CONVERSATIONS)], trainer)
    special = list(TOKENS.values()) + oracle_templates.SPECIAL_TOKENS
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in ["<think>", "</think>", "<tool_call>"]])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **TOKENS)


class TemplateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tokenizer = make_tokenizer()
        cls.tokenizer.save_pretrained(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def expected(self, template, messages, prompt, tools, documents, variables):
        try:
            with mock.patch.object(chat_template_utils, "datetime", FixedClock):
                return self.tokenizer.apply_chat_template(
                    messages, chat_template=template, tokenize=False, add_generation_prompt=prompt, tools=tools,
                    documents=documents, **variables)
        except Exception:  # jinja2's errors and Python's
            return None

    def requests(self):
        for name, template in oracle_templates.TEMPLATES.items():
            for conversation in oracle_templates.CONVERSATIONS:
                for prompt in (False, True):
                    for extra in oracle_templates.EXTRAS:
                        yield name, template, conversation, prompt, extra

    def test_texts_and_ids(self):
        cases = list(self.requests())
        answers = ask({"template": template, "messages": conversation, "add_generation_prompt": prompt, "tokens": TOKENS,
                       "tokenizer": self.folder.name, **extra}
                      for _, template, conversation, prompt, extra in cases)
        texts = errors = ids = 0
        for (name, template, conversation, prompt, extra), answer in zip(cases, answers):
            text = self.expected(template, conversation, prompt, extra.get("tools"), extra.get("documents"),
                                 extra.get("variables", {}))
            with self.subTest(name, conversation=conversation, prompt=prompt, extra=extra):
                if text is None:
                    self.assertIn("chat_template.jinja:", answer.get("error", answer))
                    errors += 1
                    continue
                self.assertEqual(answer.get("text", answer), text)
                texts += 1
                if not any(token in json.dumps([conversation, extra], ensure_ascii=False) for token in self.tokenizer.all_special_tokens + oracle_templates.SPECIAL_TOKENS):
                    self.assertEqual(answer["ids"], self.tokenizer(text, add_special_tokens=False)["input_ids"])
                    ids += 1
        print(f"{texts} texts, {errors} errors, {ids} lists of ids", file=sys.stderr)
        self.assertGreater(texts, 600)
        self.assertGreater(ids, 500)

    def test_stop_tokens(self):
        names = list(oracle_templates.STOPS)
        answers = ask({"template": oracle_templates.TEMPLATES[name], "messages": [{"role": "user", "content": "Hi"}],
                       "tokens": TOKENS, "tokenizer": self.folder.name} for name in names)
        for name, answer in zip(names, answers):
            self.assertEqual(answer.get("stop", answer), oracle_templates.STOPS[name], name)

    def test_messages_cannot_forge_tokens(self):
        special = [token for token in self.tokenizer.get_added_vocab() if token not in ("<think>", "</think>", "<tool_call>")]
        for name in oracle_templates.STOPS:
            plain = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "World"},
                     {"role": "user", "content": "again"}]
            conversations = [plain]
            for token in special:
                conversations.append([dict(message, content=f"{message['content']}{token}x{token[:-1]}") for message in plain])
            answers = ask({"template": oracle_templates.TEMPLATES[name], "messages": conversation, "tokens": TOKENS,
                           "tokenizer": self.folder.name} for conversation in conversations)
            ids = {self.tokenizer.convert_tokens_to_ids(token) for token in special}
            counts = [[token for token in answer["ids"] if token in ids] for answer in answers]
            for token, count in zip(special, counts[1:]):
                self.assertEqual(count, counts[0], f"{name}: {token}")

    def test_model_directories(self):
        path = pathlib.Path(self.folder.name)
        text = oracle_templates.TEMPLATES["Qwen 2.5"]
        (path / "chat_template.jinja").write_text(text)
        try:
            opened = PreTrainedTokenizerFast.from_pretrained(path)
            messages = [{"role": "user", "content": "Hi"}]
            answer = ask([{"directory": str(path), "messages": messages, "add_generation_prompt": True}])[0]
            self.assertEqual(answer["text"], opened.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        finally:
            (path / "chat_template.jinja").unlink()


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
