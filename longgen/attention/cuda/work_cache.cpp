#include "longgen/attention/cuda/work_cache.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAStream.h>

#include <cstring>
#include <list>
#include <mutex>

namespace longgen::cuda {
namespace {

/// Plain structs of the host, copied to the device in one go.
class Upload {
 public:
  template <typename T>
  size_t add(const std::vector<T>& values) {
    const size_t offset = bytes_.size();
    const auto* const from = reinterpret_cast<const uint8_t*>(values.data());
    bytes_.insert(bytes_.end(), from, from + values.size() * sizeof(T));
    bytes_.resize((bytes_.size() + 15) / 16 * 16);
    return offset;
  }
  at::Tensor send(at::Device device) const {
    const auto options = at::TensorOptions(at::kByte);
    const at::Tensor host =
        at::empty({static_cast<int64_t>(bytes_.size())}, options.pinned_memory(true));
    std::memcpy(host.data_ptr(), bytes_.data(), bytes_.size());
    return host.to(device, /*non_blocking=*/true);
  }

 private:
  std::vector<uint8_t> bytes_;
};

/// Everything that a list depends on.
struct Key {
  int64_t num_queries, num_keys;
  std::vector<int64_t> doc_starts;
  Pattern pattern;
  int num_kv_heads;
  bool with_keys;
  at::Device device;
  c10::StreamId stream;
  bool operator==(const Key&) const = default;
};

std::shared_ptr<const DeviceWork> make(const Key& key) {
  const QueryWork rows = make_query_work(key.num_queries, key.num_keys, key.doc_starts);
  KeyWork keys;
  if (key.with_keys) keys = make_key_work(rows.sequences, key.pattern, key.num_kv_heads);
  Upload upload;
  const size_t sequences = upload.add(rows.sequences), tiles = upload.add(rows.tiles),
               items = upload.add(keys.items), sums = upload.add(keys.sums);
  auto work = std::make_shared<DeviceWork>();
  work->memory = upload.send(key.device);
  const auto* const base = work->memory.const_data_ptr<uint8_t>();
  work->sequences = reinterpret_cast<const SequenceRows*>(base + sequences);
  work->tiles = reinterpret_cast<const TileOfRows*>(base + tiles);
  work->num_tiles = static_cast<int>(rows.tiles.size());
  work->items = reinterpret_cast<const KeyItem*>(base + items);
  work->num_items = static_cast<int>(keys.items.size());
  work->sums = reinterpret_cast<const KeySum*>(base + sums);
  work->num_sums = static_cast<int>(keys.sums.size());
  work->num_slots = keys.num_slots;
  return work;
}

class Cache {
 public:
  std::shared_ptr<const DeviceWork> get(const Key& key) {
    const std::lock_guard lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (!(entry->key == key)) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->work;
    }
    entries_.push_front({key, make(key)});
    if (entries_.size() > kMostEntries) entries_.pop_back();
    return entries_.front().work;
  }

 private:
  // A model asks for two patterns, forward and backward, of a few lengths.
  static constexpr size_t kMostEntries = 16;
  struct Entry {
    Key key;
    std::shared_ptr<const DeviceWork> work;
  };
  std::mutex mutex_;
  std::list<Entry> entries_;  // the latest first
};

}  // namespace

std::shared_ptr<const DeviceWork> device_work(int64_t num_queries, int64_t num_keys,
                                              const at::Tensor& doc_starts, const Pattern& pattern,
                                              int num_kv_heads, bool with_keys, at::Device device) {
  // Never destroyed: at the end of the program the driver may be gone before it.
  static Cache& cache = *new Cache;
  std::vector<int64_t> starts;
  if (doc_starts.defined()) {
    const int64_t* const first = doc_starts.const_data_ptr<int64_t>();
    starts.assign(first, first + doc_starts.numel());
  }
  return cache.get({num_queries, num_keys, std::move(starts), pattern, num_kv_heads, with_keys,
                    device, c10::cuda::getCurrentCUDAStream(device.index()).id()});
}

}  // namespace longgen::cuda
