// config.json: sizes, hybrids, what is written again.
#include "longgen/model/config.h"
#include "longgen/model/config_limits.h"
#include "longgen/model/tensors.h"
#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

TEST(Config, ReadsWhatItWrites) {
  ModelConfig config = parse(tiny_json());
  config.layers = LayerPlan::hybrid(3, {1}, Pattern::parse("sink=2,window=8,stride=4"));
  config.original_context = 128;
  config.rope.base = 123456.5;
  const ModelConfig again = parse_model_config(dump_model_config(config), "again");
  EXPECT_EQ(again.layers, config.layers);
  EXPECT_EQ(again.original_context, 128);
  EXPECT_EQ(again.rope, config.rope);
  EXPECT_EQ(again.eos_ids, (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(again.head_size, 16);
  EXPECT_TRUE(again.is_hybrid());
  EXPECT_EQ(dump_model_config(again), dump_model_config(config));
}

TEST(Config, KeepsFieldsThatItDoesNotKnow) {
  const ModelConfig config = parse(with("some_note", "kept"));
  EXPECT_EQ(parse_json(dump_model_config(config), "x")["some_note"], "kept");
}

TEST(Config, RefusesWhatItCannotRun) {
  EXPECT_ERROR(parse(with("hidden_act", "gelu")), "expected \"silu\", found \"gelu\"");
  EXPECT_ERROR(parse(with("quantization_config", Json::object())), "the weights are quantized");
  EXPECT_ERROR(parse(with("rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2}})),
               "field rope_scaling.rope_type: expected default, linear, llama3 or yarn");
  EXPECT_ERROR(parse(with("rope_scaling", {{"rope_type", "linear"}, {"factor", 0.5}})),
               "field rope_scaling.factor");
}

TEST(Config, LimitsAreThoseOfConvert) {
  using namespace config_limits;
  for (const double base : {kMinRopeBase, kMaxRopeBase}) {
    EXPECT_EQ(parse(with("rope_theta", base)).rope.base, base);
  }
  EXPECT_ERROR(parse(with("rope_theta", 1.00001)),
               "field rope_theta: expected a number from 1.0001");
  EXPECT_EQ(parse(with("max_position_embeddings", kMaxContext)).context, kMaxContext);
  EXPECT_ERROR(parse(with("max_position_embeddings", kMaxContext + 1)),
               "field max_position_embeddings: expected an integer from 1 to 1073741824");
}

TEST(Config, RefusesAbsurdNumbers) {
  EXPECT_ERROR(parse(with("num_hidden_layers", 1e12)), "field num_hidden_layers");
  EXPECT_ERROR(parse(with("num_hidden_layers", 0)), "field num_hidden_layers");
  EXPECT_ERROR(parse(with("vocab_size", -5)), "field vocab_size");
  EXPECT_ERROR(parse(with("num_key_value_heads", 4)), "expected a divisor of num_attention_heads");
  EXPECT_ERROR(parse(with("num_attention_heads", 7)), "field");
  EXPECT_ERROR(parse(with("head_dim", 17)), "expected an even head size");
  EXPECT_ERROR(parse(with("head_dim", 4096)), "field head_dim");
  EXPECT_ERROR(parse(with("rope_theta", "NaN")), "field rope_theta");
  EXPECT_ERROR(parse(with("eos_token_id", 131)), "field eos_token_id");
  EXPECT_ERROR(parse_model_config("[1]", "c.json"), "c.json");
  EXPECT_ERROR(parse_model_config("{", "c.json"), "c.json: not valid JSON");
}

TEST(Config, RefusesABrokenHybrid) {
  const Json pattern = {{"sink_blocks", 1}, {"window_blocks", 16}};
  const auto hybrid = [&](const Json& layers, const Json& rules) {
    return with("longgen", {{"full_layers", layers}, {"pattern", rules}});
  };
  EXPECT_TRUE(parse(hybrid({1}, pattern)).is_hybrid());
  EXPECT_ERROR(parse(hybrid({3}, pattern)), "field longgen.full_layers");
  EXPECT_ERROR(parse(hybrid({1, 1}, pattern)), "expected ascending layers");
  EXPECT_ERROR(parse(hybrid({1}, nullptr)), "field longgen.pattern is missing");
  EXPECT_ERROR(parse(hybrid({1}, {{"sink_blocks", -1}, {"window_blocks", 16}})), "sink_blocks");
  EXPECT_ERROR(parse(hybrid({1}, {{"sink_blocks", 1}, {"window_blocks", 1}, {"block", 32}})),
               "field longgen.pattern.block: expected 64, found 32");
  Json strided = pattern;
  strided["stride_blocks"] = 4;
  strided["stride_offsets"] = {0, 1, 2};
  EXPECT_ERROR(parse(hybrid({1}, strided)), "field longgen.pattern");
}

TEST(Config, ParametersAreThoseOfTheShapes) {
  for (const bool tied : {false, true}) {
    for (const char* family : {"llama", "qwen2", "qwen3", "seed_oss"}) {
      Json json = with("model_type", family);
      json["tie_word_embeddings"] = tied;
      json["attention_bias"] = true;
      json["mlp_bias"] = true;
      const ModelConfig config = parse(json);
      int64_t total = 0;
      for (const StoredTensor& weight : stored_tensors(config)) {
        int64_t count = 1;
        for (const int64_t size : weight.shape) count *= size;
        total += count;
      }
      EXPECT_EQ(config.num_parameters(), total) << family << tied;
    }
  }
}

}  // namespace
}  // namespace longgen
