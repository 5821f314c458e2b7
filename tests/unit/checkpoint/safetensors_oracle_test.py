"""Our safetensors files against PyPI safetensors and transformers, bit for bit, both ways.

Usage: safetensors_oracle_test.py PATH_OF_checkpoint_oracle_tool
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

TOOL = sys.argv[1]


def tool(*args):
    subprocess.run([TOOL, *map(str, args)], check=True)


def same(ours, theirs):
    """Equal names, dtypes, shapes and bytes (NaN payloads too)."""
    assert ours.keys() == theirs.keys(), (sorted(ours), sorted(theirs))
    for name, expected in theirs.items():
        found = ours[name]
        assert found.dtype == expected.dtype, (name, found.dtype, expected.dtype)
        assert found.shape == expected.shape, (name, found.shape, expected.shape)
        as_bytes = [t.contiguous().reshape(-1).view(torch.uint8) for t in (found, expected)]
        assert torch.equal(*as_bytes), name


def random_tensors():
    """Every dtype in several shapes, random bits (so NaNs, infinities and subnormals too)."""
    rng = np.random.default_rng(1)
    dtypes = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64,
              torch.int32, torch.int16, torch.int8, torch.uint8]
    shapes = [(), (0,), (7,), (3, 5), (4, 0, 2), (2, 3, 4, 5, 1)]
    tensors = {}
    for dtype in dtypes:
        for shape in shapes:
            count = int(np.prod(shape, dtype=np.int64))
            data = rng.integers(0, 256, count * dtype.itemsize, dtype=np.uint8).tobytes()
            flat = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0)
            tensors[f"{dtype}/{shape}"] = flat.to(dtype).reshape(shape)
    for shape in shapes:
        count = int(np.prod(shape, dtype=np.int64))
        tensors[f"bool/{shape}"] = torch.from_numpy(rng.integers(0, 2, count) == 1).reshape(shape)
    tensors["name with \"quotes\", \\ and Ünïcödé 🙂"] = torch.ones(3)
    return tensors


def test_both_ways(folder):
    tensors = random_tensors()
    metadata = {"format": "pt", "note": "zwei\nZeilen"}
    save_file(tensors, folder / "theirs.safetensors", metadata=metadata)
    tool("copy", folder / "theirs.safetensors", folder / "ours.safetensors")
    same(load_file(folder / "ours.safetensors"), tensors)
    with safe_open(folder / "ours.safetensors", "pt") as opened:
        assert opened.metadata() == metadata, opened.metadata()
    tool("copy", folder / "ours.safetensors", folder / "again.safetensors")
    assert (folder / "ours.safetensors").read_bytes() == (folder / "again.safetensors").read_bytes()


def test_without_tensors(folder):
    save_file({}, folder / "none.safetensors")
    tool("copy", folder / "none.safetensors", folder / "none_ours.safetensors")
    assert load_file(folder / "none_ours.safetensors") == {}


def test_transformers_opens_our_shards_and_we_open_theirs(folder):
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=3,
                         num_attention_heads=4, num_key_value_heads=2, torch_dtype="bfloat16")
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    expected = model.state_dict()
    total = sum(t.numel() * t.element_size() for t in expected.values())
    model.save_pretrained(folder / "theirs", max_shard_size=total // 4)
    assert len(list((folder / "theirs").glob("model-*.safetensors"))) > 2

    for limit in (total // 5, total):
        ours = folder / f"ours_{limit}"
        ours.mkdir()
        tool("reshard", folder / "theirs", ours, limit)
        (ours / "config.json").write_bytes((folder / "theirs" / "config.json").read_bytes())
        opened = AutoModelForCausalLM.from_pretrained(ours, dtype=torch.bfloat16)
        same(opened.state_dict(), expected)

        shards = sorted(path.name for path in ours.glob("*.safetensors"))
        if limit == total:
            assert shards == ["model.safetensors"], shards
            continue
        index = json.loads((ours / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == total
        assert sorted(set(index["weight_map"].values())) == shards and len(shards) > 4, shards
        for name, shard in index["weight_map"].items():
            same({name: load_file(ours / shard)[name]}, {name: expected[name]})


if __name__ == "__main__":
    for test in (test_both_ways, test_without_tensors,
                 test_transformers_opens_our_shards_and_we_open_theirs):
        with tempfile.TemporaryDirectory() as path:
            test(pathlib.Path(path))
        print(test.__name__, "passed")
