// model/convert.h: from a pretrained model's config to a hybrid's with a longer context. Weights do
// not change.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/base/choice.h"
#include "longgen/model/config.h"

namespace longgen {

/// What happens to the rotary position embedding when the context grows.
struct RopeChange {
  enum class Kind {
    kAuto,  ///< the base grows with the context, by the rule of the purpose
    kBase,  ///< `base` below
    kYarn,  ///< yarn scaling by context / original context
    kKeep,  ///< nothing
  };
  Kind kind = Kind::kAuto;
  double base = 0;  ///< only for kBase
  bool operator==(const RopeChange&) const = default;
};

/// Which rule RopeChange::Kind::kAuto means.
enum class RopePurpose {
  kInference,  ///< ntk_rope_base(): best without training
  kTraining,   ///< training_rope_base(): recovers fastest, holds beyond the trained length
};

/// Which RoPE the sparse layers of a hybrid turn by.
enum class SparseRope {
  extended,  ///< that of the full layers
  original,  ///< that of the model before its first conversion: they see near tokens only
};
/// Names as --sparse-rope and a recipe's architecture.sparse_rope take them.
inline constexpr Choice<SparseRope, 2> kSparseRopes{
    {{{"extended", SparseRope::extended}, {"original", SparseRope::original}}}};

struct HybridOptions {
  std::string layers = "middle:1/3";  ///< both for parse_layer_plan()
  std::string sparse = "sink";
  int64_t context = 0;  ///< tokens; 0: the model's own
  RopeChange rope = {};
  SparseRope sparse_rope = SparseRope::extended;
  RopePurpose purpose = RopePurpose::kInference;
};

/// Makes the config of the same model as a hybrid. Which layers are full, sparse or keep a window
/// of the family's own is parse_layer_plan()'s; a window as long as the context is none, unless its
/// layers have a RoPE of their own, which they keep as it is. Bases and yarn factors are counted
/// from the model as it was before its first conversion, so that converting twice is the same as
/// converting once. Throws Error on a plan or pattern that cannot be read, where a scaled RoPE
/// cannot be scaled again, where an original RoPE is asked for and no layer is sparse, and on
/// contexts, bases and factors beyond config_limits.h.
ModelConfig make_hybrid(const ModelConfig& model, const HybridOptions& options);

/// Returns "base 100,000 -> 400,000", "yarn, factor 4" or "unchanged, base 10,000"; of models with
/// "; base 100,000 in sparse layers" where these have one of their own.
std::string describe_rope_change(const RopeConfig& before, const RopeConfig& after);
std::string describe_rope_change(const ModelConfig& before, const ModelConfig& after);

}  // namespace longgen
