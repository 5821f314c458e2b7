// Plans of layers, and converting to hybrids.
#include "longgen/model/convert.h"

#include <cmath>

#include "longgen/model/config_limits.h"
#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

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
