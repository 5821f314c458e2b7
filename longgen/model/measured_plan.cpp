#include "longgen/model/measured_plan.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"
#include "longgen/model/config_limits.h"

namespace longgen {
namespace {

constexpr std::string_view kPrefix = "measured:";
constexpr const char* kFormat = "longgen layer plan";
constexpr int64_t kVersion = 1;
// A plan of the most layers that longgen takes has a few megabytes.
constexpr int64_t kMaxBytes = 16 << 20;

/// Gives the path in "measured:FILE".
std::optional<fs::path> measured_path(std::string_view layers) {
  if (!layers.starts_with(kPrefix)) return std::nullopt;
  const std::string_view path = layers.substr(kPrefix.size());
  LG_CHECK(!path.empty(),
           "[layers] 'measured:': expected the file of a plan after the colon, "
           "which longgen measure writes: measured:DIR/plan.json.");
  return fs::path(path);
}

/// Refuses fields beside `known`: what a file says counts, or is refused.
void expect_only(const JsonObject& object, std::initializer_list<const char*> known,
                 const char* part) {
  for (const auto& [key, value] : object.value().items()) {
    const bool expected = std::find(known.begin(), known.end(), key) != known.end();
    LG_CHECK(expected, object.source(), ": ", part, "unknown field \"", key,
             "\". Is it a plan of a newer longgen?");
  }
}

void read_sizes(const JsonObject& model, PlanSizes& sizes) {
  for (auto& [name, value] : sizes) value = model.integer(name, 1, config_limits::kMaxVocab);
}

std::vector<int64_t> read_full_layers(const JsonObject& object, int64_t num_layers) {
  std::vector<int64_t> layers = object.integers("full_layers", 0, num_layers - 1);
  const bool ascending =
      std::adjacent_find(layers.begin(), layers.end(), std::greater_equal<>()) == layers.end();
  LG_CHECK(!layers.empty() && ascending, object.where("full_layers"),
           ": expected at least one layer, ascending, each once, found ",
           dump_json(object.raw("full_layers")), ".");
  return layers;
}

/// Checks that the order names layers once each, and those of the plan first.
void check_order(const JsonObject& object, const std::vector<int64_t>& full, int64_t num_layers) {
  const Json& order = object.raw("order");
  LG_CHECK(order.is_array(), object.where("order"), ": expected a list, found ", order.type_name(),
           ".");
  std::set<int64_t> seen;
  for (const Json& entry : order) {
    const JsonObject step(entry, object.source(), "order");
    const int64_t layer = step.integer("layer", 0, num_layers - 1);
    LG_CHECK(seen.insert(layer).second, object.where("order"), ": layer ", layer,
             " stands there twice.");
    const bool is_full = std::binary_search(full.begin(), full.end(), layer);
    LG_CHECK(is_full == (seen.size() <= full.size()), object.where("order"), ": layer ", layer,
             " stands ", is_full ? "behind" : "among", " the first ", full.size(),
             ", which must be those of full_layers.");
  }
  LG_CHECK(order.empty() || seen.size() >= full.size(), object.where("order"),
           ": expected all of full_layers, found ", seen.size(), " of ", full.size(), ".");
}

}  // namespace

PlanSizes plan_sizes(const ModelConfig& config) {
  return {{{"layers", config.num_layers},
           {"width", config.width},
           {"ffn_width", config.ffn_width},
           {"heads", config.num_heads},
           {"kv_heads", config.num_kv_heads},
           {"head_size", config.head_size},
           {"vocabulary", config.vocab_size}}};
}

std::string dump_measured_plan(const MeasuredPlan& plan) {
  OrderedJson model;
  for (const auto& [name, value] : plan.sizes) model[name] = value;
  model["name"] = plan.model_name;
  model["hash"] = plan.model_hash;
  const OrderedJson json = {{"format", kFormat},
                            {"version", kVersion},
                            {"model", model},
                            {"full_layers", plan.full_layers},
                            {"sparse", plan.sparse},
                            {"order", plan.order},
                            {"measured_on", plan.measured_on}};
  return dump_json(json, 2) + "\n";
}

MeasuredPlan read_measured_plan(const fs::path& path) {
  const fs::path file = fs::is_directory(path) ? path / "plan.json" : path;
  const std::string text = read_file(file, kMaxBytes);
  const Json json = parse_json(text, file.string());
  const JsonObject object(json, file.string());
  const std::string format = object.string("format", "");
  LG_CHECK(format == kFormat, file.string(), ": expected a layer plan of longgen measure, with \"",
           kFormat, "\" as format, found ", format.empty() ? "none" : dump_json(Json(format)), ".");
  object.integer("version", kVersion, kVersion);
  expect_only(object,
              {"format", "version", "model", "full_layers", "sparse", "order", "measured_on"}, "");
  MeasuredPlan plan;
  plan.sizes = plan_sizes({});
  const JsonObject model = object.object("model");
  expect_only(model,
              {"layers", "width", "ffn_width", "heads", "kv_heads", "head_size", "vocabulary",
               "name", "hash"},
              "field model: ");
  read_sizes(model, plan.sizes);
  plan.model_name = model.string("name");
  plan.model_hash = model.string("hash");
  const int64_t num_layers = model.integer("layers", 1, config_limits::kMaxLayers);
  plan.full_layers = read_full_layers(object, num_layers);
  plan.sparse = object.string("sparse");
  try {
    Pattern::parse_sparse(plan.sparse);
  } catch (const Error& error) {
    LG_FAIL(object.where("sparse"), ": ", error.what());
  }
  check_order(object, plan.full_layers, num_layers);
  object.object("measured_on");
  const OrderedJson ordered = parse_ordered_json(text, file.string());
  plan.order = ordered.at("order");
  plan.measured_on = ordered.at("measured_on");
  return plan;
}

std::string listed_layers(std::string_view layers, const ModelConfig& model) {
  const auto path = measured_path(layers);
  if (!path) return std::string(layers);
  const MeasuredPlan plan = read_measured_plan(*path);
  const PlanSizes sizes = plan_sizes(model);
  for (size_t i = 0; i < sizes.size(); ++i) {
    LG_CHECK(plan.sizes[i].second == sizes[i].second, path->string(),
             ": a plan of another model, \"", plan.model_name, "\": it has ", sizes[i].first, " ",
             plan.sizes[i].second, ", and this model has ", sizes[i].second,
             ". Measure this model: longgen measure MODEL.");
  }
  std::string list;
  const std::vector<int64_t> windows = model.layers.window_layers();
  const bool keeps_windows = static_cast<int64_t>(windows.size()) < model.num_layers;
  for (const int64_t layer : plan.full_layers) {
    LG_CHECK(!keeps_windows || !std::binary_search(windows.begin(), windows.end(), layer),
             path->string(), ": a plan of another model, \"", plan.model_name, "\": it has layer ",
             layer,
             " full, and this model has a window of its own there, which stays. Measure "
             "this model: longgen measure MODEL.");
    list += (list.empty() ? "" : ",") + std::to_string(layer);
  }
  return list;
}

LayerPlan parse_layer_plan(std::string_view layers, std::string_view sparse,
                           const ModelConfig& model) {
  return parse_layer_plan(listed_layers(layers, model), sparse, model.layers);
}

std::string other_sparse_note(std::string_view layers, std::string_view sparse) {
  const auto path = measured_path(layers);
  if (!path) return "";
  const std::string measured = read_measured_plan(*path).sparse;
  const Pattern chosen = Pattern::parse_sparse(sparse);
  if (Pattern::parse_sparse(measured) == chosen) return "";
  return detail::concat(path->string(), " was measured with the sparse pattern ", measured,
                        ", and ", chosen.to_string(),
                        " is used: with it other layers may be the better ones.");
}

}  // namespace longgen
