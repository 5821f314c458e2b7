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

TEST(LayerPlan, ClassesOfLayers) {
  using Layers = std::vector<int64_t>;
  const LayerPlan hybrid = LayerPlan::hybrid(6, {1, 4}, Pattern::sparse(1, 2));
  const LayerPlan plan = hybrid.with_windows({0, 5}, 512);
  EXPECT_EQ(plan.num_classes(), 3);
  EXPECT_EQ(plan.full_layers(), (Layers{1, 4}));
  EXPECT_EQ(plan.layers_of_class(LayerPlan::kSparse), (Layers{2, 3}));
  EXPECT_EQ(plan.window_layers(), (Layers{0, 5}));
  EXPECT_EQ(plan.pattern(5, 2), Pattern::window(512));
  EXPECT_EQ(plan.pattern(4, 2), Pattern());
  EXPECT_EQ(plan.pattern(3, 2), Pattern::sparse(1, 2));
  EXPECT_TRUE(plan.is_hybrid() && !plan.is_all_full() && plan.is_full(4) && !plan.is_full(5));
  EXPECT_TRUE(plan.is_sparse(2) && !plan.is_sparse(1) && !plan.is_sparse(5));
  EXPECT_EQ(plan.num_sparse(), 2);
  EXPECT_EQ(format_classes(plan),
            "full 1,4 (2 of 6), sparse 2-3 (2 of 6): sink=1,window=2,stride=0, windows of 512 "
            "tokens 0,5 (2 of 6)");
  const LayerPlan windows = LayerPlan::all_full(2).with_windows({0, 1}, 1);
  EXPECT_FALSE(windows.is_hybrid() || windows.is_all_full());
  EXPECT_EQ(format_classes(windows), "windows of 1 token 0-1 (2 of 2)");
  EXPECT_EQ(plan.for_context(513), plan);
  EXPECT_EQ(plan.for_context(512), LayerPlan::hybrid(6, {0, 1, 4, 5}, Pattern::sparse(1, 2)));
  EXPECT_EQ(hybrid.with_windows({}, 0), hybrid);
  EXPECT_EQ(
      plan.without_sparse(),
      LayerPlan::hybrid(6, {0, 1, 2, 3, 4, 5}, Pattern::sparse(1, 2)).with_windows({0, 5}, 512));
  // Any number of classes; the order in which they came says nothing.
  const LayerPlan more = plan.with_windows({2}, 100).with_pattern({3}, Pattern::sparse(1, 4));
  EXPECT_EQ(more.num_classes(), 5);
  EXPECT_TRUE(more.is_sparse(3) && !more.is_sparse(2));
  EXPECT_EQ(more.window_layers(), (Layers{0, 2, 5}));
  EXPECT_EQ(more, hybrid.with_pattern({3}, Pattern::sparse(1, 4))
                      .with_windows({2}, 100)
                      .with_windows({0, 5}, 512));
  EXPECT_NE(more, plan);
  EXPECT_EQ(more.for_context(200).window_layers(), (Layers{2}));
  EXPECT_TRUE(LayerPlan::all_full(2).with_pattern({1}, Pattern::sparse(1, 4)).is_hybrid());
  EXPECT_ERROR(LayerPlan::hybrid(6, {4, 1}, Pattern::sparse(1, 2)),
               "expected ascending numbers from 0 to 5");
  EXPECT_ERROR(LayerPlan::hybrid(6, {6}, Pattern::sparse(1, 2)), "numbers from 0 to 5");
  EXPECT_ERROR(LayerPlan::hybrid(6, {0}, Pattern()), "expected a sparse pattern, found full");
}

TEST(LayerPlan, WindowsOfTheFamilyStayWhereOtherLayersAreFull) {
  using Layers = std::vector<int64_t>;
  // As in Gemma 3 with 26 layers: 5, 11, 17, 23 are full.
  Layers windows;
  for (int64_t layer = 0; layer < 26; ++layer) {
    if (layer % 6 != 5) windows.push_back(layer);
  }
  const LayerPlan model = LayerPlan::all_full(26).with_windows(windows, 512);
  const auto full_of = [&](const char* layers) {
    const LayerPlan plan = parse_layer_plan(layers, "sink", model);
    EXPECT_EQ(plan.window_layers(), windows);
    EXPECT_EQ(plan.pattern(0, 1), Pattern::window(512));
    // Once converted, it is the same model to convert.
    EXPECT_EQ(parse_layer_plan(layers, "sink", plan), plan);
    return plan.full_layers();
  };
  EXPECT_EQ(full_of("middle:1/3"), (Layers{11}));
  EXPECT_EQ(full_of("middle:1/2"), (Layers{11, 17}));
  EXPECT_EQ(full_of("first:1"), (Layers{5}));
  EXPECT_EQ(full_of("5,23"), (Layers{5, 23}));
  EXPECT_EQ(full_of("all"), (Layers{5, 11, 17, 23}));
  EXPECT_EQ(parse_layer_plan("all", "full", model), model);
  EXPECT_ERROR(parse_layer_plan("5,6", "sink", model),
               "[layers] '5,6': layer 6 has a window of the model's own, 512 tokens, and keeps it. "
               "Expected some of 5,11,17,23 (4 of 26).");
}

TEST(LayerPlan, AModelOfWindowsAloneLosesThem) {
  const LayerPlan model = LayerPlan::all_full(6).with_windows({0, 1, 2, 3, 4, 5}, 4096);
  const LayerPlan plan = parse_layer_plan("middle:1/3", "sink", model);
  EXPECT_EQ(plan, LayerPlan::hybrid(6, {2, 3}, Pattern::parse("sink")));
  EXPECT_TRUE(parse_layer_plan("all", "full", model).is_all_full());
}

TEST(Convert, WindowsOfAMistral) {
  Json json = with("model_type", "mistral");
  json["sliding_window"] = 128;
  const ModelConfig model = parse(json);
  const ModelConfig hybrid =
      parse_model_config(dump_model_config(make_hybrid(model, {.context = 2048})), "hybrid");
  EXPECT_EQ(hybrid.layers, LayerPlan::hybrid(3, {1}, Pattern::parse("sink")));
  EXPECT_TRUE(parse_json(dump_model_config(hybrid), "x")["sliding_window"].is_null());
}

TEST(Convert, WindowsOfAQwen) {
  Json json = with("model_type", "qwen2");
  json["num_hidden_layers"] = 4;
  json["use_sliding_window"] = true;
  json["sliding_window"] = 128;
  json["max_window_layers"] = 2;
  const ModelConfig hybrid = parse_model_config(
      dump_model_config(make_hybrid(parse(json), {.layers = "first:1", .context = 2048})),
      "hybrid");
  EXPECT_EQ(hybrid.layers,
            LayerPlan::hybrid(4, {0}, Pattern::parse("sink")).with_windows({2, 3}, 128));
  // A context that the window spans has no windows.
  const ModelConfig shorter = make_hybrid(hybrid, {.layers = "first:1", .context = 128});
  EXPECT_EQ(shorter.layers, LayerPlan::hybrid(4, {0, 2, 3}, Pattern::parse("sink")));
  EXPECT_EQ(parse_model_config(dump_model_config(shorter), "shorter").layers, shorter.layers);
}

TEST(Convert, Gemma3KeepsItsWindowsAndTheirRope) {
  Json json = with("model_type", "gemma3_text");
  json["num_hidden_layers"] = 12;
  json["sliding_window"] = 64;
  json["sliding_window_pattern"] = 3;
  json["rope_local_base_freq"] = 300;
  json["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8}};
  json["hidden_activation"] = "gelu_pytorch_tanh";
  const ModelConfig model = parse(json);
  ASSERT_EQ(model.layers.full_layers(), (std::vector<int64_t>{2, 5, 8, 11}));
  const HybridOptions longer{.layers = "5", .context = 2048, .purpose = RopePurpose::kTraining};
  const ModelConfig hybrid =
      parse_model_config(dump_model_config(make_hybrid(model, longer)), "hybrid");
  const LayerPlan three_classes = LayerPlan::hybrid(12, {5}, Pattern::parse("sink"))
                                      .with_windows({0, 1, 3, 4, 6, 7, 9, 10}, 64);
  EXPECT_EQ(hybrid.layers, three_classes);
  EXPECT_EQ(hybrid.window_rope, model.window_rope);
  EXPECT_DOUBLE_EQ(hybrid.rope.base, model.rope.base * 16);  // four times the context
  EXPECT_EQ(hybrid.rope.scaling, RopeConfig::Scaling::linear);
  EXPECT_EQ(hybrid.rope.factor, 8);
  // Its layers turn by the window's RoPE where a shorter context ends before the window, too.
  const ModelConfig shorter =
      make_hybrid(model, {.layers = "all", .sparse = "full", .context = 64});
  EXPECT_EQ(shorter.layers.window_layers(), model.layers.window_layers());
  EXPECT_EQ(parse_model_config(dump_model_config(shorter), "shorter").layers, shorter.layers);
  json["layer_types"] = std::vector<std::string>(12, "sliding_attention");
  EXPECT_ERROR(make_hybrid(parse(json), {}),
               "[convert] every layer of this model has a window and a RoPE of its own, and keeps "
               "both: none is left to be full or sparse.");
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

TEST(Convert, SparseLayersMayKeepTheOriginalRope) {
  const ModelConfig model = parse(tiny_json(3));
  const auto original = [](HybridOptions options) {
    options.sparse_rope = SparseRope::original;
    return options;
  };
  const ModelConfig hybrid = make_hybrid(model, original({.context = 4096}));
  EXPECT_EQ(hybrid.sparse_rope, model.rope);
  EXPECT_GT(hybrid.rope.base, 60000);
  EXPECT_EQ(describe_rope_change(model, hybrid),
            describe_rope_change(model.rope, hybrid.rope) + "; base 10,000 in sparse layers");
  // It stands in config.json, and is still there after another conversion.
  const std::string text = dump_model_config(hybrid);
  const ModelConfig back = parse_model_config(text, "again");
  EXPECT_EQ(back.sparse_rope, hybrid.sparse_rope);
  EXPECT_EQ(Json::parse(text)["longgen"]["sparse_rope"],
            (Json{{"rope_type", "default"}, {"rope_theta", 10000.0}}));
  EXPECT_EQ(make_hybrid(back, original({.context = 8192})).sparse_rope, model.rope);
  // Otherwise there is none, and config.json is what it was without the option.
  EXPECT_FALSE(make_hybrid(back, {.context = 4096}).sparse_rope);
  EXPECT_EQ(dump_model_config(make_hybrid(back, {.context = 4096})),
            dump_model_config(make_hybrid(model, {.context = 4096})));
  EXPECT_FALSE(make_hybrid(model, original({.context = 512})).sparse_rope);  // nothing is extended
  EXPECT_ERROR(make_hybrid(model, original({.layers = "all", .context = 4096})),
               "[convert] sparse RoPE original: expected sparse layers, found none.");
}

TEST(Convert, TheOriginalRopeIsFoundBehindEarlierConversions) {
  const HybridOptions longer = {.context = 4096, .sparse_rope = SparseRope::original};
  const RopeChange yarn = {.kind = RopeChange::Kind::kYarn};
  const ModelConfig model = parse(tiny_json(3));
  const ModelConfig once = make_hybrid(model, {.context = 1024, .rope = yarn});
  EXPECT_EQ(make_hybrid(once, longer).sparse_rope, model.rope);
  const ModelConfig native = parse(
      with("rope_scaling",
           {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}}));
  EXPECT_EQ(make_hybrid(native, longer).sparse_rope, native.rope);
  const ModelConfig grown = make_hybrid(native, {.context = 1024});
  EXPECT_EQ(make_hybrid(grown, longer).sparse_rope, native.rope);
  const ModelConfig back =
      parse_model_config(dump_model_config(make_hybrid(native, longer)), "again");
  EXPECT_EQ(back.sparse_rope, native.rope);
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
