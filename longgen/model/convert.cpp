#include "longgen/model/convert.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/model/config_limits.h"
#include "longgen/model/measured_plan.h"
#include "longgen/model/rope_frequencies.h"

namespace longgen {
namespace {

void check_context(int64_t context) {
  LG_CHECK(context <= config_limits::kMaxContext, "[convert] context: expected at most ",
           format_count(config_limits::kMaxContext), " tokens, found ", format_count(context), ".");
}

void check_rope_base(double base) {
  using namespace config_limits;
  LG_CHECK(base >= kMinRopeBase && base <= kMaxRopeBase,  // false for NaN
           "[convert] RoPE base: expected a number from ", kMinRopeBase, " to ", kMaxRopeBase,
           ", found ", dump_json(Json(base)), ".");
}

double automatic_base(const ModelConfig& model, int64_t context, RopePurpose purpose) {
  return purpose == RopePurpose::kTraining
             ? training_rope_base(model.original_rope_base, model.original_context, context)
             : ntk_rope_base(model.original_rope_base, model.original_context, context,
                             model.head_size);
}

/// Changes `rope` to yarn. `model` has its new context already.
void set_yarn(const ModelConfig& model, RopeConfig& rope) {
  const bool is_yarn = rope.scaling == RopeConfig::Scaling::yarn;
  LG_CHECK(is_yarn || rope.scaling == RopeConfig::Scaling::none,
           "[convert] --rope-scaling yarn: the model's RoPE is scaled already (llama3 or linear), "
           "and longgen does not put one scaling on another. Use --rope-base instead.");
  const int64_t original = is_yarn ? rope.original_context : model.original_context;
  LG_CHECK(model.context > original,
           "[convert] --rope-scaling yarn: expected a context above the original one, ", original,
           ", found ", model.context, ".");
  rope = {.base = model.original_rope_base,
          .scaling = RopeConfig::Scaling::yarn,
          .factor = static_cast<double>(model.context) / static_cast<double>(original),
          .original_context = original};
  rope.attention_factor = yarn_attention_factor(rope.factor);
}

/// Applies the automatic rules. A model that has this context already keeps its RoPE, except that
/// training starts from the base that suits training. The base never shrinks: the model may have
/// been trained with a larger one.
void set_automatically(const ModelConfig& model, RopePurpose purpose, ModelConfig& hybrid) {
  const bool grows = hybrid.context > model.context;
  const bool trains_longer =
      purpose == RopePurpose::kTraining && hybrid.context > model.original_context;
  if (!grows && !trains_longer) return;
  if (model.rope.scaling == RopeConfig::Scaling::yarn) {
    set_yarn(hybrid, hybrid.rope);
  } else {
    hybrid.rope.base = std::max(model.rope.base, automatic_base(model, hybrid.context, purpose));
  }
}

/// Refuses what the automatic rules make of a context beyond what config.json can hold.
void check_rope(const ModelConfig& hybrid) {
  using namespace config_limits;
  LG_CHECK(hybrid.rope.base <= kMaxRopeBase, "[convert] a context of ",
           format_count(hybrid.context), " tokens asks for a RoPE base of ", hybrid.rope.base,
           ", and the largest is ", kMaxRopeBase, ". Give a shorter context, or a base.");
  LG_CHECK(hybrid.rope.factor <= kMaxRopeFactor, "[convert] a context of ",
           format_count(hybrid.context), " tokens asks for a yarn factor of ", hybrid.rope.factor,
           ", and the largest is ", kMaxRopeFactor, ". Give a shorter context, or a base.");
}

/// Gives the RoPE of the model as it was before its first conversion.
RopeConfig original_rope(const ModelConfig& model) {
  if (model.sparse_rope) return *model.sparse_rope;
  RopeConfig rope = model.rope;
  rope.base = model.original_rope_base;
  if (rope.scaling != RopeConfig::Scaling::yarn || model.context == model.original_context) {
    return rope;
  }
  // A conversion let yarn grow from what the model had, which was none where it began at the
  // original context.
  if (rope.original_context == model.original_context) return {.base = rope.base};
  rope.factor =
      static_cast<double>(model.original_context) / static_cast<double>(rope.original_context);
  rope.attention_factor = yarn_attention_factor(rope.factor);
  return rope;
}

void set_sparse_rope(const ModelConfig& model, SparseRope choice, ModelConfig& hybrid) {
  hybrid.sparse_rope.reset();
  if (choice == SparseRope::extended) return;
  LG_CHECK(hybrid.is_hybrid(),
           "[convert] sparse RoPE original: expected sparse layers, found none.");
  const RopeConfig original = original_rope(model);
  if (original != hybrid.rope) hybrid.sparse_rope = original;
}

std::string base_text(const RopeConfig& rope) {
  return format_count(static_cast<int64_t>(std::llround(rope.base)));
}

}  // namespace

ModelConfig make_hybrid(const ModelConfig& model, const HybridOptions& options) {
  ModelConfig hybrid = model;
  check_context(options.context);
  if (options.context > 0) hybrid.context = options.context;
  hybrid.layers = parse_layer_plan(options.layers, options.sparse, model);
  if (model.window_rope) {
    LG_CHECK(hybrid.layers.window_layers() == model.layers.window_layers(),
             "[convert] every layer of this model has a window and a RoPE of its own, and keeps "
             "both: none is left to be full or sparse.");
  } else {
    hybrid.layers = hybrid.layers.for_context(hybrid.context);
  }
  switch (options.rope.kind) {
    case RopeChange::Kind::kAuto:
      set_automatically(model, options.purpose, hybrid);
      break;
    case RopeChange::Kind::kBase:
      check_rope_base(options.rope.base);
      hybrid.rope.base = options.rope.base;
      break;
    case RopeChange::Kind::kYarn:
      set_yarn(hybrid, hybrid.rope);
      break;
    case RopeChange::Kind::kKeep:
      break;
  }
  check_rope(hybrid);
  set_sparse_rope(model, options.sparse_rope, hybrid);
  return hybrid;
}

std::string describe_rope_change(const RopeConfig& before, const RopeConfig& after) {
  if (after == before) return "unchanged, base " + base_text(after);
  if (after.scaling == RopeConfig::Scaling::yarn) {
    std::string factor = detail::concat(after.factor);
    return "yarn, factor " + factor + ", base " + base_text(after);
  }
  return "base " + base_text(before) + " -> " + base_text(after);
}

std::string describe_rope_change(const ModelConfig& before, const ModelConfig& after) {
  const std::string change = describe_rope_change(before.rope, after.rope);
  if (!after.sparse_rope) return change;
  return change + "; base " + base_text(*after.sparse_rope) + " in sparse layers";
}

}  // namespace longgen
