#include "longgen/model/config.h"

#include <cmath>

#include "longgen/model/config_fields.h"
#include "longgen/model/config_limits.h"
#include "longgen/model/convert.h"
#include "longgen/model/rope_frequencies.h"
#include "longgen/model/weight_names.h"
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
  EXPECT_ERROR(parse(with("rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2}})),
               "field rope_scaling.rope_type: expected default, linear, llama3 or yarn");
  EXPECT_ERROR(parse(with("rope_scaling", {{"rope_type", "linear"}, {"factor", 0.5}})),
               "field rope_scaling.factor");
}

/// A tiny config of a family, 3 layers, context 512.
Json family_json(const char* family, const Json& fields = Json::object()) {
  Json json = with("model_type", family);
  json.update(fields);
  return json;
}

TEST(Config, ASlidingWindowThatEndsWithinTheContextIsRefused) {
  const std::string refused =
      "c.json: field sliding_window: expected null or at least max_position_embeddings, 512, "
      "found ";
  EXPECT_ERROR(parse(family_json("mistral", {{"sliding_window", 128}})), refused + "128. longgen");
  EXPECT_ERROR(parse(family_json("llama", {{"sliding_window", 128}})), refused + "128. longgen");
  const Json longer = {{"max_position_embeddings", 8192}};
  EXPECT_ERROR(parse(family_json("mistral", longer)),
               "8192, found 4096, the default of transformers.");
  const Json qwen = {{"use_sliding_window", true}, {"sliding_window", 128}};
  for (const char* family : {"qwen2", "qwen3"}) {
    Json first = qwen;
    first["max_window_layers"] = 2;  // layer 2 of 0 to 2 slides
    EXPECT_ERROR(parse(family_json(family, first)), refused + "128");
    Json named = qwen;
    named["layer_types"] = {"full_attention", "sliding_attention", "full_attention"};
    EXPECT_ERROR(parse(family_json(family, named)), refused + "128");
  }
}

TEST(Config, AWindowThatNoTokenReachesIsNone) {
  const Json qwen = {{"use_sliding_window", true}, {"sliding_window", 128}};
  std::vector<Json> harmless = {
      family_json("mistral", {{"sliding_window", nullptr}}),
      family_json("mistral", {{"sliding_window", 512}}),
      family_json("mistral"),  // 4,096 tokens by default, and the context is 512
      family_json("mistral", {{"sliding_window", nullptr}, {"max_position_embeddings", 8192}}),
      family_json("llama", {{"use_sliding_window", true}}),
      family_json("qwen2", {{"sliding_window", 128}, {"max_window_layers", 0}}),
      family_json("qwen2", qwen),  // from layer 28 on, of 3
  };
  Json named = qwen;
  named["layer_types"] = {"full_attention", "full_attention", "full_attention"};
  named["max_window_layers"] = 0;
  harmless.push_back(family_json("qwen3", named));
  named["layer_types"] = {"full_attention", "sliding_attention", "attention"};
  named["sliding_window"] = 512;
  harmless.push_back(family_json("qwen3", named));
  for (const Json& json : harmless) {
    // With a context beyond the window it stays a model without one.
    ModelConfig config = parse(json);
    config.context = 1 << 20;
    const ModelConfig again = parse_model_config(dump_model_config(config), "again");
    EXPECT_EQ(again.context, 1 << 20) << json;
  }
}

TEST(Config, LayerTypesAreOneForEachLayer) {
  EXPECT_ERROR(parse(with("layer_types", {"full_attention", "full_attention"})),
               "field layer_types: expected a list of num_hidden_layers, 3, entries, found [");
  EXPECT_ERROR(parse(with("layer_types", {"full_attention", "chunked_attention", "attention"})),
               "field layer_types: expected only \"full_attention\", found \"chunked_attention\"");
  const Json slides = {"full_attention", "sliding_attention", "full_attention"};
  EXPECT_ERROR(parse(with("layer_types", slides)),
               "expected only \"full_attention\", found \"sliding_attention\", and no window");
  EXPECT_ERROR(parse(family_json("qwen2", {{"layer_types", slides}, {"sliding_window", 512}})),
               "found \"sliding_attention\", and no window");
}

TEST(Config, DefaultsAreThoseOfTheFamily) {
  const auto without = [](const char* family, const char* field) {
    Json json = family_json(
        family, {{"sliding_window", nullptr}, {"num_attention_heads", 32}, {"head_dim", 16}});
    json.erase(field);
    return parse(json);
  };
  EXPECT_EQ(without("llama", "max_position_embeddings").context, 2048);
  EXPECT_EQ(without("mistral", "max_position_embeddings").context, 131072);
  EXPECT_EQ(without("qwen2", "max_position_embeddings").context, 32768);
  EXPECT_EQ(without("qwen3", "max_position_embeddings").context, 32768);
  EXPECT_EQ(without("llama", "num_key_value_heads").num_kv_heads, 32);
  EXPECT_EQ(without("mistral", "num_key_value_heads").num_kv_heads, 8);
  EXPECT_EQ(without("qwen2", "num_key_value_heads").num_kv_heads, 32);
  EXPECT_EQ(parse(family_json("mistral", {{"num_key_value_heads", nullptr}})).num_kv_heads, 6);
  EXPECT_EQ(without("qwen3", "head_dim").head_size, 128);
  EXPECT_EQ(parse(tiny_json()).head_size, 96 / 6);
}

TEST(Config, FieldsOfOtherArithmeticAreRefusedByName) {
  const std::vector<std::pair<const char*, Json>> refused = {
      {"attn_logit_softcapping", 50.0},
      {"final_logit_softcapping", 30},
      {"attention_multiplier", 0.0078125},
      {"query_pre_attn_scalar", 256},
      {"embedding_multiplier", 12},
      {"residual_multiplier", 0.22},
      {"logits_scaling", 8},
      {"logit_scale", 0.0625},
      {"scale_emb", 12},
      {"scale_depth", 1.4},
      {"num_local_experts", 8},
      {"n_routed_experts", 64},
      {"attention_chunk_size", 8192},
      {"partial_rotary_factor", 0.5},
      {"rotary_pct", 0.25},
      {"rotary_dim", 8},
      {"rotary_emb_base", 500000},
      {"rope_interleaved", true},
      {"use_mrope", true},
      {"is_causal", false},
      {"use_bidirectional_attention", true},
      {"clip_qkv", 8.0},
      {"qk_layernorm", true},
      {"kv_lora_rank", 512},
      {"per_layer_config", {{"0", {{"sliding_window", 4}}}}},
      {"quantization", {{"bits", 4}}},
      {"is_encoder_decoder", true},
      {"position_embedding_type", "alibi"},
  };
  for (const auto& [field, value] : refused) {
    EXPECT_ERROR(parse(with(field, value)), "c.json: field " + std::string(field) + ": expected ");
  }
  EXPECT_ERROR(
      parse(with("logit_scale", 0.0625)),
      "c.json: field logit_scale: expected 1, which changes nothing, found 0.0625. longgen "
      "would run the model without it, and wrongly.");
  EXPECT_ERROR(parse(with("scale_depth", 1.4)),
               "c.json: field scale_depth: expected none, found 1.4. longgen would run");
  EXPECT_ERROR(
      parse(with("no_rope_layers", {1, 1, 0})),
      "field no_rope_layers: expected only 1, found 0. longgen has no layers without RoPE.");
}

TEST(Config, ValuesOfOtherArithmeticThatChangeNothingAreAccepted) {
  for (const auto& [field, value] :
       std::vector<std::pair<const char*, Json>>{{"attention_multiplier", 0.25},  // 1 / sqrt(16)
                                                 {"query_pre_attn_scalar", 16},
                                                 {"residual_multiplier", 1.0},
                                                 {"final_logit_softcapping", nullptr},
                                                 {"partial_rotary_factor", 1},
                                                 {"rotary_emb_base", 10000},
                                                 {"rope_interleaved", false},
                                                 {"no_rope_layers", {1, 1, 1}},
                                                 {"num_local_experts", 0},
                                                 {"qk_layernorm", false},
                                                 {"hidden_act", "swish"},
                                                 {"architectures", {"LLaMAForCausalLM"}},
                                                 {"architectures", Json::array()}}) {
    const ModelConfig config = parse(with(field, value));
    EXPECT_EQ(config.head_size, 16) << field;
    EXPECT_TRUE(unknown_fields(config.raw).empty()) << field;
  }
  // A copy of the base does not stay behind when the base changes.
  ModelConfig config = parse(with("rotary_emb_base", 10000));
  config.rope.base = 5e5;
  EXPECT_EQ(parse_model_config(dump_model_config(config), "again").rope.base, 5e5);
}

TEST(Config, AnotherHeadIsAnotherModel) {
  EXPECT_ERROR(parse(with("architectures", {"LlamaForSequenceClassification"})),
               "c.json: field architectures: expected LlamaForCausalLM, found "
               "[\"LlamaForSequenceClassification\"]. longgen runs language models of the family "
               "llama, no other head.");
  EXPECT_ERROR(parse(with("architectures", "LlamaForCausalLM")), "architectures: expected a list");
}

TEST(Config, UnknownFieldsAreThoseThatSaySomething) {
  const Json json = {{"model_type", "llama"},
                     {"pretraining_tp", 2},
                     {"attention_dropout", 0.1},
                     {"_name_or_path", "x"},
                     {"temperature", 0.7},
                     {"rope_theta", 1e4},
                     {"new_gate", 0.5},
                     {"new_kind", "gated"},
                     {"new_flag", false},
                     {"new_list", Json::array()},
                     {"new_note", nullptr},
                     {"transformers_version", "5.23.0"},
                     {"unsloth_version", "2026.1"}};
  EXPECT_EQ(unknown_fields(json), (std::vector<std::string>{"new_gate", "new_kind"}));
}

TEST(Config, ASpellingOfRopeForEachPlaceWhereItMayStand) {
  const Json yarn = {
      {"rope_type", "yarn"}, {"factor", 8.0}, {"original_max_position_embeddings", 64}};
  const RopeConfig expected = parse(with("rope_scaling", yarn)).rope;
  EXPECT_EQ(expected.original_context, 64);
  Json both = with("rope_scaling", yarn);
  both["rope_parameters"] = yarn;  // the same twice
  EXPECT_EQ(parse(both).rope, expected);
  Json empty = with("rope_scaling", yarn);
  empty["rope_parameters"] = Json::object();
  EXPECT_EQ(parse(empty).rope, expected);
  Json beside = with("rope_scaling", {{"type", "yarn"}, {"factor", 8.0}});
  beside["original_max_position_embeddings"] = 64;
  EXPECT_EQ(parse(beside).rope, expected);
  Json inside = tiny_json();
  inside.erase("rope_theta");
  inside["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 5e5}};
  EXPECT_EQ(parse(inside).rope.base, 5e5);
  // The context before scaling means nothing to the kinds that have no such number.
  Json plain = tiny_json();
  plain["original_max_position_embeddings"] = 64;
  EXPECT_EQ(parse(plain).rope, parse(tiny_json()).rope);
  // llama3 without it counts from the context, as transformers does.
  EXPECT_EQ(parse(with("rope_scaling", {{"rope_type", "llama3"},
                                        {"factor", 8},
                                        {"low_freq_factor", 1},
                                        {"high_freq_factor", 4}}))
                .rope.original_context,
            512);
}

TEST(Config, PlacesOfRopeThatDisagreeAreRefused) {
  const Json yarn = {{"type", "yarn"}, {"factor", 8.0}, {"original_max_position_embeddings", 64}};
  Json both = with("rope_scaling", yarn);
  both["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
  EXPECT_ERROR(parse(both), "c.json: field rope_scaling: says another RoPE than rope_parameters.");
  Json base = tiny_json();
  base["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  EXPECT_ERROR(parse(base),
               "c.json: field rope_parameters.rope_theta: expected 10000 as in field rope_theta, "
               "found 500000. Remove the one that is wrong.");
  Json original = with("rope_scaling", yarn);
  original["original_max_position_embeddings"] = 128;
  EXPECT_ERROR(parse(original),
               "c.json: field original_max_position_embeddings: expected that of the RoPE scaling, "
               "64, found 128.");
  EXPECT_ERROR(parse(with("rope_scaling", {{"rope_type", "default"}, {"type", "mrope"}})),
               "field rope_scaling.type: expected rope_type, \"default\", found \"mrope\"");
}

TEST(Config, FieldsOfRopeThatMeanNothingInTheirKindAreRefused) {
  EXPECT_ERROR(
      parse(with("rope_scaling", {{"factor", 8.0}})),
      "c.json: field rope_scaling.factor: has no meaning in RoPE of kind \"default\". Give "
      "the kind that it belongs to as rope_type, or remove it.");
  EXPECT_ERROR(
      parse(with("rope_scaling", {{"type", "linear"}, {"factor", 8.0}, {"attention_factor", 2}})),
      "field rope_scaling.attention_factor: has no meaning in RoPE of kind \"linear\"");
  EXPECT_ERROR(parse(with("rope_parameters", {{"full_attention", {{"rope_type", "yarn"}}}})),
               "field rope_parameters.full_attention: has no meaning");
  EXPECT_ERROR(
      parse(with("rope_scaling", {{"type", "yarn"}, {"factor", 4.0}, {"attn_factor", 0.878}})),
      "field rope_scaling.attn_factor: transformers leaves it out, vLLM and llama.cpp "
      "multiply yarn's own factor by it.");
  EXPECT_ERROR(parse(with("rope_scaling",
                          {{"type", "linear"}, {"factor", 8.0}, {"partial_rotary_factor", 0.5}})),
               "rope_scaling.partial_rotary_factor: expected 1, found a part");
  EXPECT_EQ(
      parse(with("rope_scaling",
                 {{"type", "yarn"}, {"factor", 4.0}, {"finetuned", true}, {"mscale", nullptr}}))
          .rope.factor,
      4);
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
  EXPECT_EQ(once.layers.full_layers(), (std::vector<int64_t>{3, 4, 5}));
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
  EXPECT_ERROR(make_hybrid(model, {.sparse = "full"}),
               "is full attention. Expected a sparse pattern");
  EXPECT_ERROR(make_hybrid(model, {.layers = "some"}), "Expected middle:A/B");
  EXPECT_FALSE(make_hybrid(model, {.layers = "all"}).is_hybrid());
}

TEST(Convert, NothingThatTheReaderOfConfigJsonRefuses) {
  const ModelConfig model = parse(tiny_json(3));
  const auto with_base = [&](double base) {
    return make_hybrid(model, {.rope = {.kind = RopeChange::Kind::kBase, .base = base}});
  };
  for (const double base : {config_limits::kMinRopeBase, config_limits::kMaxRopeBase}) {
    EXPECT_EQ(parse_model_config(dump_model_config(with_base(base)), "again").rope.base, base);
  }
  for (const double base : {1.0000000001, 1e16, -1.0, 0.0, std::nan(""), HUGE_VAL}) {
    EXPECT_ERROR(with_base(base), "[convert] RoPE base: expected a number from 1.0001 to 1e+15");
  }
  EXPECT_ERROR(with_base(1.0000000001), "found 1.0000000001.");
  EXPECT_ERROR(make_hybrid(model, {.context = config_limits::kMaxContext + 1}),
               "[convert] context: expected at most 1,073,741,824 tokens, found 1,073,741,825.");
  // 10000 * (2^30 / 512)^2 is 4.4e16.
  HybridOptions training{.context = config_limits::kMaxContext};
  training.purpose = RopePurpose::kTraining;
  EXPECT_ERROR(
      make_hybrid(model, training),
      "[convert] a context of 1,073,741,824 tokens asks for a RoPE base of 4.39805e+16, and "
      "the largest is 1e+15. Give a shorter context, or a base.");
  training.rope.kind = RopeChange::Kind::kYarn;
  EXPECT_ERROR(make_hybrid(model, training),
               "asks for a yarn factor of 2.09715e+06, and the largest");
}

}  // namespace
}  // namespace longgen
