// RoPE: what config.json says, and the frequencies that it means.
#include "longgen/model/rope_frequencies.h"

#include <cmath>

#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

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

TEST(Config, LongropeIsRefusedByName) {
  for (const char* kind : {"longrope", "su"}) {
    EXPECT_ERROR(parse(with("rope_scaling", {{"type", kind}, {"long_factor", {1.0, 2.0}}})),
                 "c.json: field rope_scaling.type: expected default, linear, llama3 or yarn, found "
                 "\"" +
                     std::string(kind) + "\". Its frequencies change with the length of the text");
  }
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

}  // namespace
}  // namespace longgen
