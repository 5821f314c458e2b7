#include "longgen/model/config.h"

#include <cmath>

#include "longgen/model/convert.h"
#include "longgen/model/rope_frequencies.h"
#include "longgen/model/weight_names.h"
#include "test_support.h"

namespace longgen {
namespace {

TEST(Config, ReadsWhatItWrites) {
  ModelConfig config = parse(tiny_json());
  config.layers = {.full_layers = {1}, .sparse = Pattern::parse("sink=2,window=8,stride=4")};
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

TEST(Config, EveryRopeScalingIsReadBack) {
  const Json scalings = {
      {{"rope_type", "linear"}, {"factor", 4}},
      {{"type", "linear"}, {"factor", 4}},
      {{"rope_type", "llama3"},
       {"factor", 8},
       {"low_freq_factor", 1},
       {"high_freq_factor", 4},
       {"original_max_position_embeddings", 8192}},
      {{"rope_type", "yarn"}, {"factor", 4}, {"beta_fast", 24}, {"truncate", false}},
  };
  for (const Json& scaling : scalings) {
    const ModelConfig config = parse(with("rope_scaling", scaling));
    EXPECT_NE(config.rope.scaling, RopeConfig::Scaling::none) << scaling;
    EXPECT_EQ(parse_model_config(dump_model_config(config), "again").rope, config.rope) << scaling;
  }
}

TEST(Config, TransformersFiveFormOfRope) {
  Json json = tiny_json();
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_type", "yarn"}, {"rope_theta", 5000.0}, {"factor", 4.0}};
  const ModelConfig config = parse(json);
  EXPECT_EQ(config.rope.base, 5000);
  EXPECT_EQ(config.rope.original_context, 512);
  EXPECT_DOUBLE_EQ(config.rope.attention_factor, 0.1 * std::log(4.0) + 1);
}

TEST(Config, RefusesWhatItCannotRun) {
  EXPECT_ERROR(parse(with("model_type", "gpt2")), "c.json: field model_type: expected llama");
  EXPECT_ERROR(parse(with("hidden_act", "gelu")), "expected \"silu\", found \"gelu\"");
  EXPECT_ERROR(parse(with("quantization_config", Json::object())), "the weights are quantized");
  EXPECT_ERROR(parse(with("use_sliding_window", true)), "expected false, found true");
  EXPECT_ERROR(parse(with("rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2}})),
               "field rope_scaling.rope_type: expected default, linear, llama3 or yarn");
  EXPECT_ERROR(parse(with("rope_scaling", {{"rope_type", "linear"}, {"factor", 0.5}})),
               "field rope_scaling.factor");
  EXPECT_ERROR(parse(with("layer_types", {"full_attention", "sliding_attention"})),
               "found \"sliding_attention\"");
  Json mistral = with("model_type", "mistral");
  mistral["sliding_window"] = 128;
  EXPECT_ERROR(parse(mistral), "field sliding_window: expected null or at least");
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
    for (const char* family : {"llama", "qwen2", "qwen3"}) {
      Json json = with("model_type", family);
      json["tie_word_embeddings"] = tied;
      json["attention_bias"] = true;
      json["mlp_bias"] = true;
      const ModelConfig config = parse(json);
      int64_t total = 0;
      for (const WeightShape& weight : weight_shapes(config)) {
        int64_t count = 1;
        for (const int64_t size : weight.shape) count *= size;
        total += count;
      }
      EXPECT_EQ(config.num_parameters(), total) << family << tied;
    }
  }
}

TEST(LayerPlan, Names) {
  using Layers = std::vector<int64_t>;
  EXPECT_EQ(parse_full_layers("middle:1/3", 30), (Layers{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}));
  EXPECT_EQ(parse_full_layers("middle:1/3", 32).size(), 11U);
  EXPECT_EQ(parse_full_layers("middle:1/3", 1), (Layers{0}));
  EXPECT_EQ(parse_full_layers("every:3", 8), (Layers{2, 5}));
  EXPECT_EQ(parse_full_layers("first:2", 8), (Layers{0, 1}));
  EXPECT_EQ(parse_full_layers("last:2", 8), (Layers{6, 7}));
  EXPECT_EQ(parse_full_layers("all", 3), (Layers{0, 1, 2}));
  EXPECT_EQ(parse_full_layers("5,1-2", 8), (Layers{1, 2, 5}));
  EXPECT_EQ(format_layers({1, 2, 3, 7}, 8), "1-3,7 (4 of 8)");
  for (const char* bad : {"", "middle", "middle:2/1", "middle:0/3", "middle:1/0", "every:0",
                          "every:99", "first:x", "some:3", "9", "3-1", "1,,2", "-1", "1-"}) {
    EXPECT_ERROR(parse_full_layers(bad, 8), "Expected middle:A/B");
  }
}

TEST(RopeFrequencies, PlainAndScaled) {
  const RopeConfig plain{.base = 10000};
  const auto frequencies = rope_frequencies(plain, 8);
  EXPECT_DOUBLE_EQ(frequencies[0], 1);
  EXPECT_DOUBLE_EQ(frequencies[1], 0.1);
  EXPECT_NEAR(frequencies[3], 0.001, 1e-15);
  RopeConfig linear = plain;
  linear.scaling = RopeConfig::Scaling::linear;
  linear.factor = 4;
  EXPECT_DOUBLE_EQ(rope_frequencies(linear, 8)[1], 0.025);
  // llama3 keeps the fast ones and divides the slow ones by the factor.
  RopeConfig llama3{.base = 500000, .scaling = RopeConfig::Scaling::llama3, .factor = 8};
  llama3.original_context = 8192;
  const auto scaled = rope_frequencies(llama3, 128);
  const auto unscaled = rope_frequencies({.base = 500000}, 128);
  EXPECT_DOUBLE_EQ(scaled[0], unscaled[0]);
  EXPECT_DOUBLE_EQ(scaled[63], unscaled[63] / 8);
  EXPECT_LT(scaled[34], unscaled[34]);
}

TEST(RopeFrequencies, BasesForLongerContexts) {
  EXPECT_DOUBLE_EQ(training_rope_base(100000, 8192, 16384), 400000);
  EXPECT_DOUBLE_EQ(training_rope_base(100000, 8192, 4096), 100000);
  EXPECT_NEAR(ntk_rope_base(100000, 8192, 16384, 64), 100000 * std::pow(2.0, 64.0 / 62.0), 1e-6);
}

TEST(Convert, TwiceIsOnce) {
  const ModelConfig model = parse(tiny_json(9));
  HybridOptions options{.context = 4096};
  options.purpose = RopePurpose::kTraining;
  const ModelConfig once = make_hybrid(model, options);
  EXPECT_EQ(once.layers.full_layers, (std::vector<int64_t>{3, 4, 5}));
  EXPECT_EQ(once.context, 4096);
  EXPECT_EQ(once.original_context, 512);
  EXPECT_DOUBLE_EQ(once.rope.base, 640000);  // 10000 * 8^2
  HybridOptions first = options;
  first.context = 1024;
  first.purpose = RopePurpose::kInference;
  const ModelConfig step =
      parse_model_config(dump_model_config(make_hybrid(model, first)), "converted");
  EXPECT_EQ(dump_model_config(make_hybrid(step, options)), dump_model_config(once));
}

TEST(Convert, AutoKeepsYarnYarn) {
  const ModelConfig model = parse(tiny_json(3));
  const RopeChange yarn = {.kind = RopeChange::Kind::kYarn};
  const ModelConfig first = make_hybrid(model, {.context = 1024, .rope = yarn});
  const ModelConfig second = make_hybrid(first, {.context = 4096});
  EXPECT_EQ(second.rope, make_hybrid(model, {.context = 4096, .rope = yarn}).rope);
  // A model that came with yarn: the factor counts from its own original context.
  const ModelConfig native = parse(
      with("rope_scaling",
           {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}}));
  EXPECT_EQ(make_hybrid(native, {.context = 1024}).rope.factor, 8);
}

TEST(Convert, TrainingAfterAConversionToTheSameContext) {
  const ModelConfig converted = make_hybrid(parse(tiny_json(3)), {.context = 4096});
  HybridOptions training{.context = 4096};
  training.purpose = RopePurpose::kTraining;
  EXPECT_DOUBLE_EQ(make_hybrid(converted, training).rope.base, 640000);
  EXPECT_EQ(make_hybrid(converted, {.context = 4096}).rope, converted.rope);
}

TEST(Convert, RopeChoices) {
  const ModelConfig model = parse(tiny_json(3));
  const auto rope_of = [&](RopeChange change, int64_t context) {
    return make_hybrid(model, {.context = context, .rope = change}).rope;
  };
  EXPECT_EQ(rope_of({}, 512), model.rope);  // no longer context: nothing to do
  EXPECT_EQ(rope_of({.kind = RopeChange::Kind::kKeep}, 2048), model.rope);
  EXPECT_EQ(rope_of({.kind = RopeChange::Kind::kBase, .base = 5e5}, 2048).base, 5e5);
  const RopeConfig yarn = rope_of({.kind = RopeChange::Kind::kYarn}, 2048);
  EXPECT_EQ(yarn.scaling, RopeConfig::Scaling::yarn);
  EXPECT_EQ(yarn.factor, 4);
  EXPECT_EQ(yarn.original_context, 512);
  EXPECT_ERROR(rope_of({.kind = RopeChange::Kind::kYarn}, 512), "expected a context above");
  EXPECT_ERROR(rope_of({.kind = RopeChange::Kind::kBase, .base = -1}, 512), "--rope-base");
  EXPECT_ERROR(make_hybrid(model, {.sparse = "full"}), "is full attention. Expected a sparse pattern");
  EXPECT_ERROR(make_hybrid(model, {.layers = "some"}), "Expected middle:A/B");
  EXPECT_FALSE(make_hybrid(model, {.layers = "all"}).is_hybrid());
}

}  // namespace
}  // namespace longgen
