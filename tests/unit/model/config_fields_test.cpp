// config.json: what each family assumes, and the fields that are refused or not known.
#include "longgen/model/config_fields.h"

#include <tuple>

#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

/// A tiny config of a family, 3 layers, context 512.
Json family_json(const char* family, const Json& fields = Json::object()) {
  Json json = with("model_type", family);
  json.update(fields);
  return json;
}

/// The windows of a config, and that they are read back from what is written.
SlidingWindows windows_of(const Json& json) {
  const ModelConfig config = parse(json);
  const ModelConfig again = parse_model_config(dump_model_config(config), "again");
  EXPECT_EQ(again.layers, config.layers) << json;
  const std::vector<int64_t> layers = config.layers.window_layers();
  return {layers, layers.empty() ? 0 : config.pattern(layers[0]).window_tokens()};
}

TEST(Config, SlidingWindowsAreThoseOfTheFamily) {
  const auto all = [](int64_t tokens) { return SlidingWindows{{0, 1, 2}, tokens}; };
  EXPECT_EQ(windows_of(family_json("mistral", {{"sliding_window", 128}})), all(128));
  EXPECT_EQ(windows_of(family_json("mistral", {{"sliding_window", 1}})), all(1));
  // transformers' default.
  EXPECT_EQ(windows_of(family_json("mistral", {{"max_position_embeddings", 8192}})), all(4096));
  const Json qwen = {{"use_sliding_window", true}, {"sliding_window", 128}};
  for (const char* family : {"qwen2", "qwen3"}) {
    Json first = qwen;
    first["max_window_layers"] = 2;  // layer 2 of 0 to 2 slides
    EXPECT_EQ(windows_of(family_json(family, first)), (SlidingWindows{{2}, 128}));
    first["max_window_layers"] = 0;
    EXPECT_EQ(windows_of(family_json(family, first)), all(128));
    Json named = qwen;  // counts more than max_window_layers
    named["layer_types"] = {"full_attention", "sliding_attention", "full_attention"};
    named["max_window_layers"] = 0;
    EXPECT_EQ(windows_of(family_json(family, named)), (SlidingWindows{{1}, 128}));
    named["use_sliding_window"] = false;
    named["layer_types"] = nullptr;
    EXPECT_EQ(windows_of(family_json(family, named)), SlidingWindows{});
  }
}

TEST(Config, FieldsOfWindowsThatStayAreNotTouched) {
  Json json = family_json(
      "qwen2", {{"use_sliding_window", true}, {"sliding_window", 128}, {"max_window_layers", 1}});
  ModelConfig config = parse(json);
  config.context = 4096;
  const Json written = parse_json(dump_model_config(config), "again");
  EXPECT_EQ(written["max_window_layers"], 1);
  EXPECT_FALSE(written.contains("layer_types"));
  EXPECT_EQ(written["use_sliding_window"], true);
  // A plan that config.json did not say is written as layer_types.
  config.layers = LayerPlan::all_full(3).with_windows({0, 1}, 100);
  const Json other = parse_json(dump_model_config(config), "again");
  EXPECT_EQ(other["layer_types"],
            Json({"sliding_attention", "sliding_attention", "full_attention"}));
  EXPECT_EQ(other["sliding_window"], 100);
  EXPECT_EQ(parse(other).layers, config.layers);
  // A context as short as the window has no token beyond it.
  config.context = 100;
  EXPECT_TRUE(parse_model_config(dump_model_config(config), "again").layers.is_all_full());
}

TEST(Config, AHybridOfThreeClassesIsReadBack) {
  ModelConfig config = parse(family_json("qwen3", {{"num_hidden_layers", 6}}));
  config.layers =
      LayerPlan::hybrid(6, {2}, Pattern::parse("sink=1,window=2")).with_windows({0, 1, 4, 5}, 100);
  const std::string text = dump_model_config(config);
  const ModelConfig again = parse_model_config(text, "again");
  EXPECT_EQ(again.layers, config.layers);
  EXPECT_EQ(dump_model_config(again), text);
  EXPECT_EQ(again.pattern(0), Pattern::window(100));
  EXPECT_EQ(again.pattern(2), Pattern());
  EXPECT_EQ(again.pattern(3), Pattern::sparse(1, 2));
  EXPECT_EQ(again.layers.class_of(3), LayerPlan::kSparse);
  Json json = parse_json(text, "text");
  json["longgen"]["full_layers"] = {2, 4};
  EXPECT_ERROR(parse(json),
               "field longgen.full_layers: layer 4 has a sliding window of 100 tokens by the other "
               "fields of config.json.");
}

TEST(Config, WindowsThatConfigJsonCannotSayAreRefused) {
  EXPECT_ERROR(parse(family_json("llama", {{"sliding_window", 128}})),
               "c.json: field sliding_window: expected null or at least max_position_embeddings, "
               "512, found 128. Of the family llama some programs read the window, and "
               "transformers does not");
  EXPECT_ERROR(parse(family_json("mistral",
                                 {{"sliding_window", 128},
                                  {"layer_types",
                                   {"full_attention", "sliding_attention", "sliding_attention"}}})),
               "field layer_types: expected only \"sliding_attention\", found \"full_attention\"");
  ModelConfig config = parse(family_json("qwen3"));
  config.layers = LayerPlan::all_full(3).with_windows({1}, 128).with_windows({2}, 64);
  EXPECT_ERROR(dump_model_config(config),
               "[config] config.json has windows of one length, found 128 and 64 tokens.");
  config.layers =
      LayerPlan::hybrid(3, {0}, Pattern::sparse(1, 2)).with_pattern({2}, Pattern::sparse(1, 4));
  EXPECT_ERROR(dump_model_config(config),
               "[config] config.json has one sparse pattern: of the 3 layers 1 have another one.");
  config = parse(family_json("mistral", {{"sliding_window", 128}}));
  config.layers = LayerPlan::all_full(3).with_windows({1}, 128);
  EXPECT_ERROR(dump_model_config(config),
               "[config] the family mistral cannot have windows of 128 tokens in 1 (1 of 3) of its "
               "layers.");
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
  EXPECT_ERROR(
      parse(with("layer_types", {"full_attention", "chunked_attention", "attention"})),
      "field layer_types: expected \"full_attention\" or \"sliding_attention\", found \"chunked");
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
  EXPECT_EQ(without("seed_oss", "max_position_embeddings").context, 524288);
  EXPECT_EQ(without("seed_oss", "num_key_value_heads").num_kv_heads, 8);
  EXPECT_EQ(without("seed_oss", "head_dim").head_size, 128);
  EXPECT_EQ(without("gemma", "max_position_embeddings").context, 8192);
  EXPECT_EQ(without("gemma", "num_key_value_heads").num_kv_heads, 16);
  EXPECT_EQ(without("gemma", "head_dim").head_size, 256);
  EXPECT_EQ(without("llama", "num_key_value_heads").num_kv_heads, 32);
  EXPECT_EQ(without("mistral", "num_key_value_heads").num_kv_heads, 8);
  EXPECT_EQ(without("qwen2", "num_key_value_heads").num_kv_heads, 32);
  EXPECT_EQ(parse(family_json("mistral", {{"num_key_value_heads", nullptr}})).num_kv_heads, 6);
  EXPECT_EQ(without("qwen3", "head_dim").head_size, 128);
  EXPECT_EQ(parse(tiny_json()).head_size, 96 / 6);
}

TEST(Config, BiasesAreThoseThatTheFamilyReads) {
  const auto biases = [](const char* family, const Json& fields) {
    const ModelConfig config = parse(family_json(family, fields));
    const ModelConfig again = parse_model_config(dump_model_config(config), "again");
    EXPECT_TRUE(unknown_fields(config).empty()) << family;
    EXPECT_EQ(std::tie(again.qkv_bias, again.output_bias, again.mlp_bias),
              std::tie(config.qkv_bias, config.output_bias, config.mlp_bias));
    return std::tuple(config.qkv_bias, config.output_bias, config.mlp_bias);
  };
  const Json both = {{"attention_bias", true}, {"mlp_bias", true}};
  const Json none = Json::object();
  EXPECT_EQ(biases("llama", none), std::tuple(false, false, false));
  EXPECT_EQ(biases("llama", both), std::tuple(true, true, true));
  EXPECT_EQ(biases("mistral", both), std::tuple(false, false, false));
  EXPECT_EQ(biases("qwen2", none), std::tuple(true, false, false));
  EXPECT_EQ(biases("qwen3", both), std::tuple(true, true, false));
  EXPECT_EQ(biases("seed_oss", none), std::tuple(true, false, false));
  EXPECT_EQ(biases("seed_oss", {{"attention_bias", false}, {"attention_out_bias", true}}),
            std::tuple(false, true, false));
  EXPECT_EQ(biases("seed_oss", {{"mlp_bias", true}}), std::tuple(true, false, true));
  EXPECT_EQ(biases("gemma", both), std::tuple(true, true, false));
}

TEST(Config, FamiliesAreListedWhereOneIsNotKnown) {
  EXPECT_ERROR(
      parse(with("model_type", "gpt2")),
      "c.json: field model_type: expected llama, mistral, qwen2, qwen3, seed_oss, phi3, gemma or "
      "gemma3_text, found \"gpt2\". longgen has no other family (Llama 2 to 3.2 and SmolLM2 are "
      "llama, Qwen2.5 is qwen2, Phi-4 is phi3, CodeGemma is gemma).");
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
  for (const auto& one : refused) {
    EXPECT_ERROR(parse(with(one.first, one.second)),
                 "c.json: field " + std::string(one.first) + ": expected ");
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
    EXPECT_TRUE(unknown_fields(config).empty()) << field;
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
  ModelConfig config;
  config.family = "llama";
  config.raw = json;
  EXPECT_EQ(unknown_fields(config), (std::vector<std::string>{"new_gate", "new_kind"}));
}

}  // namespace
}  // namespace longgen
