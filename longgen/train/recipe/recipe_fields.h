// train/recipe/recipe_fields.h: the one list of a recipe's keys, with their types, ranges and
// names. Reading, writing, hashing and the documentation's test all walk through it.
#pragma once

#include <array>
#include <string_view>

#include "longgen/base/choice.h"
#include "longgen/base/threads.h"
#include "longgen/model/config_limits.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen::recipe_fields {

enum class OnResume {
  fixed,  ///< part of recipe_hash
  free,
};
struct Key {
  std::string_view name;
  OnResume on_resume = OnResume::fixed;
};

/// Any text but an empty one. With `list` also a list of integers, kept as "1,2,3".
struct Text {
  bool list = false;
  std::string_view missing = "";  ///< what to give; a key without it is optional
};
/// An integer, or a string such as "16K".
struct Count {
  int64_t low, high;
};
struct Number {
  double low, high;
  double smallest = 0;  ///< beside 0, which a rule with this one allows; 0: all from low on
};
struct YesNo {};
/// A list of tables, [[data.sources]], whose members are those of for_each_in_source().
struct SourceList {};
struct Rope {};

inline constexpr Choice<PackingMode, 2> kPackings{
    {{{"packed", PackingMode::packed}, {"whole", PackingMode::whole}}}};
inline constexpr Choice<DocumentMask, 3> kMasks{{{{"documents", DocumentMask::documents},
                                                  {"none", DocumentMask::none},
                                                  {"anchor", DocumentMask::anchor}}}};
inline constexpr Choice<ScheduleKind, 3> kSchedules{{{{"cosine", ScheduleKind::cosine},
                                                      {"linear", ScheduleKind::linear},
                                                      {"constant", ScheduleKind::constant}}}};

/// A token that sees no other has a softmax over one key, of which the gradient of q and k is 0 but
/// for rounding errors. AdamW, which divides a gradient by its size, would train them on those.
inline constexpr int64_t kMinLength = 2;
// Upper limits only keep products within 64 bits and typing errors out of runs.
inline constexpr int64_t kMaxLength = int64_t{1} << 30;
inline constexpr int64_t kMaxBatch = int64_t{1} << 20;
inline constexpr int64_t kMaxSteps = 1'000'000'000;
inline constexpr int64_t kMaxRunTokens = int64_t{1} << 60;
// The optimizer computes in float32, in which numbers below 1.2e-38 are 0 and 1 + 6e-8 is 1. A
// recipe says nothing that is lost there.
/// Where (1 - beta2) * g^2 of a gradient g is 0 in float32, the weight moves by
/// learning_rate * g / eps: with this eps hardly farther than the learning rate, for every beta2 up
/// to kMaxBeta.
inline constexpr double kMinEps = 1e-16;
/// A moment takes in (1 - beta) of the difference to the new gradient: with this beta, of a float's
/// 24 bits, 4 are left for it.
inline constexpr double kMaxBeta = 0.999999;
inline constexpr double kMinLearningRate = 1e-12;
inline constexpr double kMinClipNorm = 1e-6;
/// A token that counts more often than this alone decides a step.
inline constexpr double kMaxTokenWeight = 1000;
/// Shares of a mixture; the limits keep their ratio within what 53 bits tell apart.
inline constexpr double kMinWeight = 1e-6, kMaxWeight = 1e6;
inline constexpr size_t kMaxSources = 1000;

/// The one key of a table of [[data.sources]] that recipe_hash does not cover.
inline constexpr std::string_view kSourceName = "name";
/// Calls visit(name, member, rule, required) for every key of a table of [[data.sources]].
template <typename S, typename Visit>
void for_each_in_source(S& source, Visit&& visit) {
  visit("path", source.path, Text{}, true);
  visit("weight", source.weight, Number{kMinWeight, kMaxWeight}, true);
  visit("packing", source.packing, kPackings, false);
  visit(kSourceName.data(), source.name, Text{}, false);
}

/// Calls visit(Key, member, rule) for every key in the order of the file. R is Recipe or const
/// Recipe.
template <typename R, typename Visit>
void for_each(R& r, Visit&& visit) {
  constexpr auto kFree = OnResume::free;
  visit(Key{"model.path"}, r.model.path, Text{.missing = "the directory of the model"});
  visit(Key{"model.output", kFree}, r.model.output, Text{.missing = "a directory to write to"});

  visit(Key{"architecture.layers"}, r.architecture.layers, Text{.list = true});
  visit(Key{"architecture.sparse"}, r.architecture.sparse, Text{});
  visit(Key{"architecture.context"}, r.architecture.context,
        Count{kMinLength, config_limits::kMaxContext});
  visit(Key{"architecture.rope"}, r.architecture.rope, Rope{});
  visit(Key{"architecture.sparse_rope"}, r.architecture.sparse_rope, kSparseRopes);

  visit(Key{"data.path"}, r.data.path, Text{});
  visit(Key{"data.sequence_length"}, r.data.sequence_length, Count{kMinLength, kMaxLength});
  visit(Key{"data.packing"}, r.data.packing, kPackings);
  visit(Key{"data.mask"}, r.data.mask, kMasks);
  visit(Key{"data.seed"}, r.data.seed, Count{0, INT64_MAX});
  // The last of its section: in a file, keys behind [[data.sources]] would be a source's.
  visit(Key{"data.sources"}, r.data.sources, SourceList{});

  visit(Key{"train.batch_size"}, r.train.batch_size, Count{1, kMaxBatch});
  visit(Key{"train.accumulation"}, r.train.accumulation, Count{1, kMaxBatch});
  visit(Key{"train.steps"}, r.train.steps, Count{1, kMaxSteps});
  visit(Key{"train.tokens"}, r.train.tokens, Count{1, kMaxRunTokens});
  visit(Key{"train.learning_rate"}, r.train.learning_rate,
        Number{.low = 0, .high = 1, .smallest = kMinLearningRate});
  visit(Key{"train.schedule"}, r.train.schedule, kSchedules);
  visit(Key{"train.warmup_steps"}, r.train.warmup_steps, Count{0, kMaxSteps});
  visit(Key{"train.final_lr_share"}, r.train.final_lr_share, Number{0, 1});
  visit(Key{"train.weight_decay"}, r.train.weight_decay, Number{0, 10});
  visit(Key{"train.beta1"}, r.train.beta1, Number{0, kMaxBeta});
  visit(Key{"train.beta2"}, r.train.beta2, Number{0, kMaxBeta});
  visit(Key{"train.eps"}, r.train.eps, Number{kMinEps, 1});
  visit(Key{"train.clip_norm"}, r.train.clip_norm,
        Number{.low = 0, .high = 1e6, .smallest = kMinClipNorm});
  visit(Key{"train.max_skipped_steps", kFree}, r.train.max_skipped_steps, Count{1, kMaxSteps});
  visit(Key{"train.precision"}, r.train.precision, kNumberFormats);
  visit(Key{"train.states"}, r.train.states, kNumberFormats);
  visit(Key{"train.recompute", kFree}, r.train.recompute, kRecomputations);
  visit(Key{"train.offload", kFree}, r.train.offload, kOffloadings);
  visit(Key{"train.teacher"}, r.train.teacher, Text{});
  visit(Key{"train.distill_share"}, r.train.distill_share, Number{0, 1});
  visit(Key{"train.align_steps"}, r.train.align_steps, Count{0, kMaxSteps});
  visit(Key{"train.answer_weight"}, r.train.answer_weight, Number{0, kMaxTokenWeight});
  visit(Key{"train.far_weight"}, r.train.far_weight,
        Number{.low = 0, .high = kMaxTokenWeight, .smallest = 1});
  visit(Key{"train.loss_chunk_rows"}, r.train.loss_chunk_rows, Count{0, kMaxLength});
  visit(Key{"train.seed"}, r.train.seed, Count{0, INT64_MAX});
  visit(Key{"train.threads", kFree}, r.train.threads, Count{0, kMaxThreads});

  visit(Key{"eval.every", kFree}, r.eval.every, Count{0, kMaxSteps});
  visit(Key{"eval.sequences", kFree}, r.eval.sequences, Count{1, kMaxBatch});
  visit(Key{"save.every", kFree}, r.save.every, Count{0, kMaxSteps});
  visit(Key{"save.keep", kFree}, r.save.keep, Count{1, 1000});
  visit(Key{"log.every", kFree}, r.log.every, Count{1, kMaxSteps});
  visit(Key{"log.tensorboard", kFree}, r.log.tensorboard, YesNo{});
}

/// Text as a TOML string with quotes. Control characters become \u escapes.
std::string toml_quoted(std::string_view text);

}  // namespace longgen::recipe_fields
