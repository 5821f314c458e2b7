#include "longgen/model/import.h"

#include <cmath>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gguf_builder.h"
#include "longgen/checkpoint/safetensors.h"
#include "longgen/model/gguf_model.h"
#include "longgen/model/weight_names.h"
#include "test_support.h"

namespace longgen {
namespace {

/// A Hugging Face directory of the tiny config with fp32 weights, all values `value`.
void write_model(const fs::path& directory, const Json& json, float value = 0.5F,
                 const std::string& without = "", const std::string& extra = "") {
  fs::create_directories(directory);
  std::vector<TensorSpec> specs;
  for (const WeightShape& weight : weight_shapes(parse(json))) {
    if (weight.name != without) specs.push_back({weight.name, DType::f32, weight.shape});
  }
  if (!extra.empty()) specs.push_back({extra, DType::f32, {2}});
  ModelWriter writer(directory, specs);
  for (const TensorSpec& spec : specs) {
    const std::vector<float> values(count_elements(spec.shape, spec.name), value);
    writer.write(spec.name,
                 {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }
  writer.finish();
  write_file(directory / "config.json", json.dump());
  write_file(directory / "tokenizer.json", "{}");
}

void import_quietly(const fs::path& source, const fs::path& output, ImportOptions options = {}) {
  options.show_progress = false;
  import_model(source, output, options);
}

class Import : public FolderTest {};

TEST_F(Import, StoresInTheTypeThatIsAskedFor) {
  write_model(dir_ / "in", tiny_json(), 1.0F / 3);
  import_quietly(dir_ / "in", dir_ / "out", {.dtype = DType::bf16});
  const SafetensorsSet files(dir_ / "out");
  const TensorEntry& tensor = *files.find("model.norm.weight");
  EXPECT_EQ(tensor.dtype, DType::bf16);
  EXPECT_EQ(tensor.bytes.substr(0, 2), std::string_view("\xab\x3e", 2));  // 0.333984375
  EXPECT_EQ(parse_json(read_file(dir_ / "out/config.json"), "c")["torch_dtype"], "bfloat16");
}

TEST_F(Import, MissingStrangeAndMisshapenTensors) {
  write_model(dir_ / "missing", tiny_json(), 1, "model.layers.1.mlp.up_proj.weight");
  EXPECT_ERROR(import_quietly(dir_ / "missing", dir_ / "out"),
               "tensor model.layers.1.mlp.up_proj.weight is missing");
  write_model(dir_ / "strange", tiny_json(), 1, "", "model.layers.0.experts.weight");
  EXPECT_ERROR(import_quietly(dir_ / "strange", dir_ / "out"),
               "tensor model.layers.0.experts.weight is no part of the model");
  write_model(dir_ / "shape", tiny_json());
  write_file(dir_ / "shape/config.json", with("intermediate_size", 81).dump());
  EXPECT_ERROR(import_quietly(dir_ / "shape", dir_ / "out"),
               "expected shape (81, 96) from config.json, found (80, 96)");
  EXPECT_FALSE(fs::exists(dir_ / "out"));
}

TEST_F(Import, OldExtrasAreLeftOut) {
  write_model(dir_ / "in", tiny_json(), 1, "", "model.layers.0.self_attn.rotary_emb.inv_freq");
  import_quietly(dir_ / "in", dir_ / "out");
  EXPECT_EQ(SafetensorsSet(dir_ / "out").names().size(), weight_shapes(parse(tiny_json())).size());
}

TEST_F(Import, NeedsATokenizerAndAFreeName) {
  write_model(dir_ / "in", tiny_json());
  fs::create_directories(dir_ / "taken");
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "taken"), "taken");
  import_quietly(dir_ / "in", dir_ / "taken", {.replace = true});
  EXPECT_TRUE(fs::exists(dir_ / "taken/config.json"));
  fs::remove(dir_ / "in/tokenizer.json");
  EXPECT_ERROR(import_quietly(dir_ / "in", dir_ / "out"), "tokenizer.json: no such file");
  EXPECT_ERROR(import_quietly(dir_ / "nothing", dir_ / "out"), "no such file or directory");
  EXPECT_ERROR(
      import_quietly("meta-llama/Llama-3.1-8B", dir_ / "out"),
      "meta-llama/Llama-3.1-8B: no such file or directory. longgen does not download models. "
      "Fetch it first, for example with hf download");
  write_file(dir_ / "text.gguf", "no model at all, but a line of text");
  EXPECT_ERROR(import_quietly(dir_ / "text.gguf", dir_ / "out"), "text.gguf");
}

TEST_F(Import, RewriteConfigSharesTheWeights) {
  write_model(dir_ / "in", tiny_json());
  ModelConfig config = load_model_config(dir_ / "in");
  config.layers = {.full_layers = {1}, .sparse = Pattern::parse("sink")};
  rewrite_config(dir_ / "in", dir_ / "out", config, false);
  EXPECT_EQ(load_model_config(dir_ / "out").layers, config.layers);
  EXPECT_TRUE(fs::equivalent(dir_ / "in/model.safetensors", dir_ / "out/model.safetensors"));
}

/// The metadata of a tiny Llama without tensors.
GgufBuilder tiny_gguf(const std::string& architecture = "llama") {
  GgufBuilder builder;
  const auto number = [&](const std::string& key, uint32_t value) {
    builder.key(key, GgufValueType::u32, raw(value));
  };
  builder.key("general.architecture", GgufValueType::string, gguf_string(architecture));
  number("llama.block_count", 1);
  number("llama.embedding_length", 4);
  number("llama.feed_forward_length", 4);
  number("llama.context_length", 64);
  number("llama.attention.head_count", 2);
  builder.key("llama.attention.layer_norm_rms_epsilon", GgufValueType::f32, raw(1e-5F));
  return builder;
}

GgufBuilder with_embedding() {
  return tiny_gguf().tensor("token_embd.weight", {4, 4}, GgmlType::f32, 0);
}

using Keys = std::vector<std::pair<std::string, std::variant<double, uint32_t, const char*>>>;

/// What import makes of a tiny Llama with these keys besides.
ModelConfig config_with(const Keys& keys) {
  GgufBuilder builder = with_embedding();
  for (const auto& [name, value] : keys) {
    const std::string key = "llama." + name;
    if (const auto* text = std::get_if<const char*>(&value)) {
      builder.key(key, GgufValueType::string, gguf_string(*text));
    } else if (const auto* count = std::get_if<uint32_t>(&value)) {
      builder.key(key, GgufValueType::u32, raw(*count));
    } else {
      builder.key(key, GgufValueType::f32, raw(static_cast<float>(std::get<double>(value))));
    }
  }
  const std::string bytes = builder.file(std::string(64, '\0'));
  return gguf_config(GgufFile(bytes, "m.gguf"));
}

TEST(GgufRope, LinearScaling) {
  using Scaling = RopeConfig::Scaling;
  EXPECT_EQ(config_with({}).rope.scaling, Scaling::none);
  EXPECT_EQ(config_with({{"rope.scaling.type", "none"}, {"rope.scaling.factor", 4.0}}).rope.scaling,
            Scaling::none);
  EXPECT_EQ(config_with({{"rope.scaling.type", "linear"}}).rope.scaling, Scaling::none);
  for (const auto& rope :
       {config_with({{"rope.scaling.type", "linear"}, {"rope.scaling.factor", 4.0}}).rope,
        config_with({{"rope.scaling.factor", 4.0}}).rope,
        config_with({{"rope.scale_linear", 4.0}}).rope}) {
    EXPECT_EQ(rope, parse(with("rope_scaling", {{"rope_type", "linear"}, {"factor", 4}})).rope);
  }
  EXPECT_ERROR(config_with({{"rope.scaling.factor", 4.0}, {"rope.scaling.attn_factor", 0.5}}),
               "key llama.rope.scaling.attn_factor: expected 1, found 0.5");
  EXPECT_ERROR(config_with({{"rope.scaling.factor", 0.5}}), "key llama.rope.scaling.factor");
}

TEST(GgufRope, YarnIsThatOfTheHuggingFaceDirectory) {
  const Json yarn = {
      {"rope_type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 128}};
  const auto theirs = [&](const Json& more) {
    Json scaling = yarn;
    scaling.update(more);
    return parse(with("rope_scaling", scaling)).rope;
  };
  const auto ours = [](const Keys& more) {
    Keys keys = {{"rope.scaling.type", "yarn"},
                 {"rope.scaling.factor", 4.0},
                 {"rope.scaling.original_context_length", 128U}};
    for (const auto& [name, value] : more) keys.push_back({"rope.scaling." + name, value});
    return config_with(keys).rope;
  };
  EXPECT_EQ(ours({}), theirs(Json::object()));
  EXPECT_EQ(ours({{"yarn_beta_fast", 24.0}, {"yarn_beta_slow", 2.0}}),
            theirs({{"beta_fast", 24}, {"beta_slow", 2}}));
  EXPECT_EQ(ours({{"yarn_attn_factor", 0.75}}), theirs({{"attention_factor", 0.75}}));
  EXPECT_EQ(ours({{"yarn_ext_factor", 1.0}, {"yarn_log_multiplier", 0.0}}), ours({}));
  // On top of yarn's own.
  EXPECT_DOUBLE_EQ(ours({{"attn_factor", 0.5}}).attention_factor, 0.5 * (0.1 * std::log(4.0) + 1));
}

TEST(GgufRope, YarnThatItCannotRunIsRefused) {
  const auto yarn = [](const std::string& key, std::variant<double, uint32_t, const char*> value) {
    return config_with({{"rope.scaling.type", "yarn"},
                        {"rope.scaling.factor", 4.0},
                        {"rope.scaling." + key, value}});
  };
  EXPECT_EQ(yarn("original_context_length", 32U).rope.original_context, 32);
  EXPECT_EQ(yarn("finetuned", 1U).rope.original_context, 64);  // that of the model
  EXPECT_ERROR(config_with({{"rope.scaling.type", "yarn"}}), "key llama.rope.scaling.factor");
  EXPECT_ERROR(yarn("yarn_ext_factor", 0.5),
               "key llama.rope.scaling.yarn_ext_factor: expected 1, found 0.5");
  EXPECT_ERROR(yarn("yarn_log_multiplier", 0.5), "yarn_log_multiplier: expected 0, found 0.5");
  EXPECT_ERROR(yarn("yarn_beta_slow", 64.0), "beta_slow: expected less than beta_fast");
  EXPECT_ERROR(yarn("attn_factor", 0.0), "key llama.rope.scaling.attn_factor");
}

TEST(GgufRope, OneKindOfScalingAtATime) {
  GgufBuilder both = with_embedding();
  both.tensor("rope_freqs.weight", {1}, GgmlType::f32, 64);
  both.key("llama.rope.scaling.factor", GgufValueType::f32, raw(4.0F));
  const std::string bytes = both.file(std::string(68, '\0'));
  EXPECT_ERROR(gguf_config(GgufFile(bytes, "m.gguf")), "expected one of them, found both");
}

TEST(GgufConfig, SlidingWindowsAreRefusedAsInDirectories) {
  const auto window = [](uint32_t tokens) {
    return config_with({{"attention.sliding_window", tokens}}).context;
  };
  for (const uint32_t harmless : {0U, 64U, 4096U}) EXPECT_EQ(window(harmless), 64);
  EXPECT_ERROR(
      window(63),
      "m.gguf: key llama.attention.sliding_window: expected none or at least "
      "llama.context_length, 64, found 63. longgen does not import sliding-window models.");
}

class GgufImport : public FolderTest {
 protected:
  void import_file(const std::string& bytes) {
    write_file(dir_ / "m.gguf", bytes);
    import_quietly(dir_ / "m.gguf", dir_ / "out");
  }
};

TEST_F(GgufImport, NamesWhatIsWrong) {
  const std::string data(64, '\0');
  EXPECT_ERROR(import_file(tiny_gguf("mamba").file()),
               "key general.architecture: expected llama, qwen2 or qwen3, found \"mamba\"");
  EXPECT_ERROR(import_file(tiny_gguf().file()), "tensor token_embd.weight is missing");
  EXPECT_ERROR(import_file(with_embedding().file(data)),
               "tensor blk.0.attn_norm.weight is missing");
  GgufBuilder split = with_embedding();
  split.key("split.count", GgufValueType::u16, raw(static_cast<uint16_t>(3)));
  EXPECT_ERROR(import_file(split.file(data)), "one of 3 parts of a split model");
  GgufBuilder scaled = with_embedding();
  scaled.key("llama.rope.scaling.type", GgufValueType::string, gguf_string("longrope"));
  EXPECT_ERROR(import_file(scaled.file(data)), "expected none, linear or yarn, found \"longrope\"");
  GgufBuilder partial = with_embedding();
  partial.key("llama.rope.dimension_count", GgufValueType::u32, raw(uint32_t{1}));
  EXPECT_ERROR(import_file(partial.file(data)), "longgen rotates whole heads");
}

}  // namespace
}  // namespace longgen
