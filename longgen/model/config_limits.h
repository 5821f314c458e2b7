// model/config_limits.h: the largest shapes that longgen handles. The reader of config.json, GGUF
// files, convert, recipes and the planner keep to the same limits, so that no command makes a model
// that another one refuses.
#pragma once

#include <cstdint>

namespace longgen::config_limits {

// These are far above every published model and far below overflow of a product of two in 64 bits.
inline constexpr int64_t kMaxLayers = 10'000;
inline constexpr int64_t kMaxWidth = 1 << 20;
inline constexpr int64_t kMaxVocab = 1 << 24;
/// The kernels and the KV cache's pages are made for heads up to this size.
inline constexpr int64_t kMaxHeadSize = 256;
/// The planner and the KV cache count pages for contexts up to this one, in tokens.
inline constexpr int64_t kMaxContext = int64_t{1} << 30;

/// A base of 1 turns every pair of dimensions equally fast, and yarn divides by its logarithm.
inline constexpr double kMinRopeBase = 1.0001;
inline constexpr double kMaxRopeBase = 1e15;
inline constexpr double kMaxRopeFactor = 1e6;

}  // namespace longgen::config_limits
