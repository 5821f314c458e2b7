// attention/cuda/work_cache.h: the work lists of recent calls, on the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "longgen/attention/cuda/work_lists.h"

namespace longgen::cuda {

/// Work lists in device memory; the pointers are valid as long as the object lives.
struct DeviceWork {
  at::Tensor memory;
  const SequenceRows* sequences;
  const TileOfRows* tiles;
  int num_tiles;
  const KeyItem* items;  // these only where they were asked for
  int num_items;
  const KeySum* sums;
  int num_sums, num_slots;
};

/// The lists of a call, made once for all the layers and steps that ask alike: making and sending
/// the key items of 131,072 tokens and 32 heads takes longer than the kernel for a short window.
/// For the current stream of `device`. Thread-safe.
std::shared_ptr<const DeviceWork> device_work(int64_t num_queries, int64_t num_keys,
                                              const at::Tensor& doc_starts, const Pattern& pattern,
                                              int num_kv_heads, bool with_keys, at::Device device);

}  // namespace longgen::cuda
