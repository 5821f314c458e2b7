// What the tests of model/ share: a small config.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "longgen/model/config.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {

/// Returns the config.json of a Llama of `num_layers` layers, 6 heads on 2 KV heads of 16.
inline Json tiny_json(int64_t num_layers = 3) {
  return {{"model_type", "llama"},    {"num_hidden_layers", num_layers},
          {"hidden_size", 96},        {"intermediate_size", 80},
          {"vocab_size", 131},        {"num_attention_heads", 6},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 512},
          {"rope_theta", 10000.0},    {"eos_token_id", {2, 5}}};
}

/// A tokenizer.json of two letters.
inline constexpr const char* kTinyTokenizer =
    R"({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
        "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})";

inline ModelConfig parse(const Json& json) { return parse_model_config(json.dump(), "c.json"); }

/// Returns tiny_json() with one field set.
inline Json with(const std::string& key, const Json& value) {
  Json json = tiny_json();
  json[key] = value;
  return json;
}

}  // namespace longgen
