// model/layer_plan.h: what each layer sees.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/attention/pattern.h"

namespace longgen {

/// The layers of a model in classes, each of one pattern. Every plan has two of them, whether a
/// layer is in them or not: full attention, and the sparse pattern of a hybrid. Others follow in
/// the order in which they were given: the sliding window that a family has of its own.
class LayerPlan {
 public:
  static constexpr int64_t kFull = 0, kSparse = 1;  ///< classes that every plan has

  /// Makes the plan of no layers.
  LayerPlan() = default;
  /// Makes the plan in which every layer is full.
  static LayerPlan all_full(int64_t num_layers);
  /// Makes the plan in which these layers are full and all others sparse. Throws Error unless they
  /// are ascending layers of the model.
  static LayerPlan hybrid(int64_t num_layers, const std::vector<int64_t>& full_layers,
                          const Pattern& sparse);

  int64_t num_layers() const { return static_cast<int64_t>(class_of_layer_.size()); }
  int64_t num_classes() const { return static_cast<int64_t>(classes_.size()); }
  /// Gives the pattern of a class, without default stride offsets.
  const Pattern& pattern_of_class(int64_t index) const { return classes_.at(index); }
  int64_t class_of(int64_t layer) const { return class_of_layer_.at(layer); }
  /// Gives the layers of a class, ascending, and how many they are.
  std::vector<int64_t> layers_of_class(int64_t index) const;
  int64_t count(int64_t index) const;
  /// Gives the pattern of one layer, with a stride offset for each KV head.
  Pattern pattern(int64_t layer, int64_t num_kv_heads) const;

  bool is_full(int64_t layer) const { return class_of(layer) == kFull; }
  /// Does the layer miss tokens, and not because its family gave it a window?
  bool is_sparse(int64_t layer) const;
  bool is_all_full() const { return count(kFull) == num_layers(); }
  /// Has it no class with layers but the two that every plan has?
  bool is_full_and_sparse() const { return count(kFull) + count(kSparse) == num_layers(); }
  int64_t num_sparse() const;
  /// Is some layer sparse? Windows of the family's own alone make no hybrid.
  bool is_hybrid() const { return num_sparse() > 0; }
  std::vector<int64_t> full_layers() const { return layers_of_class(kFull); }
  /// The pattern of the sparse layers, known also where there are none.
  const Pattern& sparse() const { return classes_[kSparse]; }
  /// The layers with a window of the family's own, ascending.
  std::vector<int64_t> window_layers() const;

  /// Gives this plan with another pattern in these layers, which may make a class of its own.
  LayerPlan with_pattern(const std::vector<int64_t>& layers, const Pattern& pattern) const;
  /// The same with a window in tokens; without layers nothing changes, whatever its length.
  LayerPlan with_windows(const std::vector<int64_t>& layers, int64_t window_tokens) const;
  /// Gives this plan with every layer full but those that have a window.
  LayerPlan without_sparse() const;
  /// Gives this plan for a context: a window that is as long makes its layers full.
  LayerPlan for_context(int64_t context) const;
  /// Do all layers see the same, and is the sparse pattern the same? The order of classes is none
  /// of the meaning.
  bool operator==(const LayerPlan& other) const;

 private:
  std::vector<Pattern> classes_ = {Pattern(), Pattern::parse("sink")};
  std::vector<int64_t> class_of_layer_;
};

/// Lists the full layers that a plan's name means: "middle:1/3" (round(L / 3) layers in the middle,
/// the paper's hourglass), "every:3" (layers 2, 5, 8, ...: the last of each three), "first:N",
/// "last:N", "all", or a list such as "10-19,25". Throws Error naming the forms.
std::vector<int64_t> parse_full_layers(std::string_view text, int64_t num_layers);

/// Makes a hybrid's plan from the model's own and what a user names: `layers` for
/// parse_full_layers(), `sparse` for Pattern::parse_sparse(). Where every layer is full "full" is
/// taken as the pattern, too. Layers with a window of the family's own keep it: middle:1/3 and the
/// like are counted over the others, and a list must name others. A model in which every layer has
/// such a window loses them: the named layers become full.
LayerPlan parse_layer_plan(std::string_view layers, std::string_view sparse,
                           const LayerPlan& model);

/// Writes "10-19 (10 of 30)".
std::string format_layers(const std::vector<int64_t>& layers, int64_t num_layers);

/// Writes the classes of a plan with windows: "full 11 (1 of 12), sparse 5 (1 of 12):
/// sink=1,window=16,stride=0, windows of 512 tokens 0-4,6-10 (10 of 12)".
std::string format_classes(const LayerPlan& plan);

}  // namespace longgen
