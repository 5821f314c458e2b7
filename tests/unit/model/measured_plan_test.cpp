#include "longgen/model/measured_plan.h"

#include "longgen/model/convert.h"
#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

MeasuredPlan plan_of(const ModelConfig& config) {
  MeasuredPlan plan;
  plan.sizes = plan_sizes(config);
  plan.model_name = "tiny";
  plan.model_hash = "0123456789abcdef";
  plan.full_layers = {1, 4};
  plan.sparse = "sink=1,window=16,stride=0";
  plan.order = {{{"layer", 4}, {"lost", 0.5}}, {{"layer", 1}, {"lost", 0.25}}, {{"layer", 5}}};
  plan.measured_on = {{"length", 8192}, {"files", {"a.txt"}}};
  return plan;
}

class MeasuredPlanFile : public FolderTest {
 protected:
  std::string name(const std::string& text) {
    return "measured:" + put("plan.json", text).string();
  }
  /// The plan's JSON with one field set.
  std::string changed(const std::string& pointer, const Json& value) {
    Json json = Json::parse(dump_measured_plan(plan_of(config_)));
    json[Json::json_pointer(pointer)] = value;
    return json.dump();
  }

  ModelConfig config_ = parse(tiny_json(6));
};

TEST_F(MeasuredPlanFile, ComesBack) {
  const MeasuredPlan plan = plan_of(config_);
  const fs::path file = put("plan.json", dump_measured_plan(plan));
  const MeasuredPlan read = read_measured_plan(file);
  EXPECT_EQ(dump_measured_plan(read), dump_measured_plan(plan));
  EXPECT_EQ(read_measured_plan(dir_).full_layers, plan.full_layers);
}

TEST_F(MeasuredPlanFile, IsAPlanWhereverOneIsNamed) {
  const std::string layers = name(dump_measured_plan(plan_of(config_)));
  EXPECT_EQ(listed_layers(layers, config_), "1,4");
  EXPECT_EQ(listed_layers("middle:1/3", config_), "middle:1/3");
  EXPECT_EQ(parse_layer_plan(layers, "blocksparse", config_),
            LayerPlan::hybrid(6, {1, 4}, Pattern::parse("blocksparse")));
  EXPECT_EQ(make_hybrid(config_, {.layers = layers}).layers.full_layers(),
            (std::vector<int64_t>{1, 4}));
}

TEST_F(MeasuredPlanFile, SaysWhereAnotherPatternWasMeasured) {
  const std::string layers = name(dump_measured_plan(plan_of(config_)));
  EXPECT_EQ(other_sparse_note(layers, "sink"), "");
  EXPECT_EQ(other_sparse_note("1,4", "blocksparse"), "");
  EXPECT_TRUE(contains(other_sparse_note(layers, "blocksparse"),
                       "was measured with the sparse pattern sink=1,window=16,stride=0, and "
                       "sink=1,window=16,stride=16 is used"));
}

TEST_F(MeasuredPlanFile, OfAnotherModelIsRefused) {
  const std::string layers = name(dump_measured_plan(plan_of(config_)));
  EXPECT_ERROR(listed_layers(layers, parse(tiny_json(7))),
               "plan.json: a plan of another model, \"tiny\": it has layers 6, and this model has "
               "7. Measure this model: longgen measure MODEL.");
  Json other = tiny_json(6);
  other["intermediate_size"] = 96;
  other["num_key_value_heads"] = 3;
  EXPECT_ERROR(listed_layers(layers, parse(other)), "it has ffn_width 80, and this model has 96");
}

TEST_F(MeasuredPlanFile, WindowsOfTheModelAreNoFullLayers) {
  Json json = tiny_json(6);
  json["model_type"] = "qwen2";
  json["use_sliding_window"] = true;
  json["sliding_window"] = 100;
  json["max_window_layers"] = 4;
  const ModelConfig windows = parse(json);
  MeasuredPlan plan = plan_of(windows);
  plan.sizes = plan_sizes(windows);
  ASSERT_EQ(windows.layers.window_layers(), (std::vector<int64_t>{4, 5}));
  EXPECT_ERROR(parse_layer_plan(name(dump_measured_plan(plan)), "sink", windows),
               "plan.json: a plan of another model, \"tiny\": it has layer 4 full, and this model "
               "has a window of its own there, which stays. Measure this model: longgen measure "
               "MODEL.");
}

TEST_F(MeasuredPlanFile, DamagedOnesAreRefused) {
  const auto error = [&](const std::string& text) {
    return error_of([&] { listed_layers(name(text), config_); });
  };
  EXPECT_TRUE(contains(error("{"), "plan.json: not valid JSON"));
  EXPECT_TRUE(contains(error("[]"), "plan.json: expected an object, found []."));
  EXPECT_TRUE(contains(error("{}"), "expected a layer plan of longgen measure"));
  EXPECT_TRUE(contains(error(changed("/version", 2)), "field version: expected an integer from 1"));
  EXPECT_TRUE(contains(error(changed("/full", {1})), "unknown field \"full\""));
  EXPECT_TRUE(contains(error(changed("/model/experts", 8)), "model: unknown field \"experts\""));
  EXPECT_TRUE(contains(error(changed("/model/width", "96")), "model.width: expected an integer"));
  for (const Json& layers : {Json::array(), Json({4, 1}), Json({1, 1})}) {
    EXPECT_TRUE(contains(error(changed("/full_layers", layers)),
                         "field full_layers: expected at least one layer, ascending, each once"));
  }
  EXPECT_TRUE(contains(error(changed("/full_layers", {1, 6})), "field full_layers"));
  EXPECT_TRUE(contains(error(changed("/sparse", "full")), "field sparse: "));
  EXPECT_TRUE(contains(error(changed("/order/2/layer", 1)), "order: layer 1 stands there twice"));
  EXPECT_TRUE(contains(error(changed("/order/0/layer", 2)), "layer 2 stands among the first 2"));
  EXPECT_TRUE(contains(error(changed("/order", {{{"layer", 4}}})), "found 1 of 2"));
  EXPECT_TRUE(contains(error(changed("/order", 3)), "field order: expected a list, found number"));
  EXPECT_TRUE(contains(error(changed("/measured_on", 3)), "field measured_on: expected an object"));
  EXPECT_ERROR(listed_layers("measured:", config_), "expected the file of a plan after the colon");
  EXPECT_ERROR(listed_layers("measured:" + (dir_ / "gone.json").string(), config_), "gone.json");
}

}  // namespace
}  // namespace longgen
