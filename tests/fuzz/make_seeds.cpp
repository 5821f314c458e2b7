// Writes small files that are right, for the fuzzers to start from: make_fuzz_seeds OUT_DIR fills
// OUT_DIR/gguf, OUT_DIR/safetensors, OUT_DIR/tokenizer, OUT_DIR/chat, OUT_DIR/openai and
// OUT_DIR/recipe.
#include <iostream>

#include "longgen/base/check.h"
#include "longgen/base/files.h"
#include "tests/unit/checkpoint/gguf_builder.h"

namespace longgen {
namespace {

using V = GgufValueType;
using namespace std::string_literals;

std::string gguf_of_every_value() {
  GgufBuilder builder;
  builder.key("general.architecture", V::string, gguf_string("llama"))
      .key("general.alignment", V::u32, raw(uint32_t{64}))
      .key("b", V::boolean, raw(uint8_t{1}))
      .key("i", V::i64, raw(int64_t{-3}))
      .key("f", V::f32, raw(0.5f))
      .key("d", V::f64, raw(1e-5))
      .key("words", V::array, gguf_array(V::string, 2, gguf_string("ab") + gguf_string("")))
      .key("scores", V::array, gguf_array(V::f32, 2, raw(0.5f) + raw(-1.0f)))
      .key("types", V::array, gguf_array(V::i32, 2, raw(int32_t{1}) + raw(int32_t{6})))
      .key("flags", V::array, gguf_array(V::boolean, 1, raw(uint8_t{0})));
  return builder.tensor("w", {3, 2}, GgmlType::f32, 0).file(std::string(24, 'w'), 64);
}

/// One tensor of each type that is dequantized. 256 elements of the widest take 1,024 bytes.
std::string gguf_of_every_type(uint32_t version) {
  GgufBuilder builder;
  builder.version = version;
  uint64_t offset = 0;
  for (const GgmlType type : {GgmlType::f32, GgmlType::f16, GgmlType::bf16, GgmlType::q8_0,
                              GgmlType::q4_0, GgmlType::q4_1, GgmlType::q5_0, GgmlType::q5_1,
                              GgmlType::q4_k, GgmlType::q5_k, GgmlType::q6_k}) {
    builder.tensor("t" + std::to_string(static_cast<uint32_t>(type)), {256}, type, offset);
    offset += 1024;
  }
  return builder.file(std::string(offset, '\x35'));
}

std::string safetensors_of_two() {
  return safetensors_bytes(R"({"__metadata__":{"format":"pt"},)"
                           R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                           R"("b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}})",
                           "0123456789");
}

/// The second one with overrides, as recipe_fuzz.cpp reads them.
void write_recipes(const fs::path& directory) {
  write_file(directory / "every_section", R"([model]
path = "in"
output = "out"
[architecture]
layers = [0, 5, 6]
sparse = "sink=1,window=16,stride=4"
context = "32K"
rope = 5e5
[data]
path = 'tokens'
sequence_length = 16384
packing = "whole"
mask = "none"
seed = 9223372036854775807
[train]
batch_size = 8
accumulation = 4
tokens = "20M"
learning_rate = 3e-4  # of the peak
schedule = "linear"
precision = "bfloat16"
recompute = "layers_keep_attention"
[eval]
every = 0
[save]
keep = 3
[log]
tensorboard = false
)");
  write_file(directory / "sources", R"([model]
path = "in"
output = "out"
[architecture]
context = 4096
[train]
steps = 10
[data]
mask = "anchor"
[[data.sources]]
path = "books"
weight = 0.78
[[data.sources]]
path = "recall"
weight = 22
packing = "whole"
)");
  write_file(directory / "overrides", R"(model = { path = "in", output = "o" }
architecture.context = 4096
data.path = "d"
train.steps = 10
)"
                                      "\0train.steps=20\0model.path=a b\0architecture.rope=yarn"s);
}

/// The second one with a conversation, as chat_fuzz.cpp reads them.
void write_templates(const fs::path& directory) {
  write_file(directory / "statements", R"({{- bos_token }}
{%- set ns = namespace(index=0, last='') %}
{%- macro turn(role, content='') %}
<|im_start|>{{ role }}{{ caller() if caller else '' }}
{{ content | trim | indent(2, true) }}<|im_end|>
{%- endmacro %}
{%- for m in messages if m.role != 'tool' %}
    {%- if loop.first and tools is not none %}
        {%- for key, value in tools[0].items() %}{{ key ~ '=' ~ value | tojson(indent=2) }}{% endfor %}
    {%- elif m['content'] is string and m.content.split('x')[-1].startswith(('a', 'b')) %}
        {{- turn(m.role, m.content[1:-1]) }}{% continue %}
    {%- else %}
        {%- call turn(m['role'] | upper) %}({{ loop.index0 + 1 }}/{{ loop.length }}){% endcall %}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}{%- if ns.index > 5 %}{% break %}{% endif %}
{%- else %}{{ raise_exception('none') }}{%- endfor %}
{%- if add_generation_prompt %}{% generation %}{{ "%s-%03d" | format('a', 7) }}{% endgeneration %}{% endif %}
)");
  write_file(
      directory / "expressions",
      R"({{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}
{% set a, b = (messages | length) // 2, 2.5 ** 2 %}{{ a if a < b <= 9 else -a }}{# no #}
{{ strftime_now('%d %b %Y') }}{{ '{} {0!r}'.format(a) }}{{ range(3) | sum }}{{ {'a': [1, none, true]} }}
{{ messages[::-1] | groupby('role') | first }}{{ 'aXb'.lower().replace('x', 'é') | title }}
)"
      "\0[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"tool\",\"content\":[{\"n\":1}]}]"s);
}

void write_requests(const fs::path& directory) {
  write_file(directory / "chat",
             R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},
{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
{"role":"tool","tool_call_id":"c","content":"7"}],"stop":["x"],"logit_bias":{"5":-1.5},"seed":7,"n":2,
"stream":true,"stream_options":{"include_usage":true},"tools":[{"type":"function","function":{"name":"f"}}],
"tool_choice":{"type":"function","function":{"name":"f"}},"chat_template_kwargs":{"thinking":true},
"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}})");
  write_file(directory / "completion",
             R"({"prompt":[[1,2],[3]],"echo":true,"logprobs":1,"max_tokens":1,"temperature":0.5})");
  write_file(directory / "hermes",
             "a\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n");
  write_file(directory / "llama3",
             R"({"name": "f", "parameters": {"a": "\"}"}}; {"name": "f", "parameters": {}})");
}

void write_seeds(const fs::path& directory) {
  for (const char* name : {"gguf", "safetensors", "tokenizer", "chat", "openai", "recipe"}) {
    fs::create_directories(directory / name);
  }
  write_file(directory / "gguf/values", gguf_of_every_value());
  write_file(directory / "gguf/types2", gguf_of_every_type(2));
  write_file(directory / "gguf/types3", gguf_of_every_type(3));
  write_file(directory / "safetensors/two", safetensors_of_two());
  write_file(directory / "safetensors/none", safetensors_bytes("{}"));
  write_file(directory / "safetensors/index",
             R"({"metadata":{"total_size":8},"weight_map":{"a":"s1","b":"sub/s2"}})");
  write_file(directory / "tokenizer/bpe",
             R"({"added_tokens":[{"id":5,"content":"<s>","special":true,"normalized":false}],)"
             R"("normalizer":{"type":"NFC"},)"
             R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
             R"("decoder":{"type":"ByteLevel"},)"
             R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"Ġ":3,"Ġab":4},)"
             R"("merges":["a b",["Ġ","ab"]]}})");
  write_templates(directory / "chat");
  write_requests(directory / "openai");
  write_recipes(directory / "recipe");
}

}  // namespace
}  // namespace longgen

int main(int argc, char** argv) {
  try {
    LG_CHECK(argc == 2, "usage: make_fuzz_seeds OUT_DIR");
    longgen::write_seeds(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
