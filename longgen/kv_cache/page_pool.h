// kv_cache/page_pool.h: memory of the KV cache, in pages of one size.
#pragma once

#include <c10/core/Device.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "longgen/kv_cache/page_demand.h"

namespace longgen {

/// Where the slabs of a pool come from. The memory that was added goes with the object.
class PageMemory {
 public:
  virtual ~PageMemory() = default;
  /// The next `bytes` bytes, 64-byte aligned; null if there are no more, and nothing has changed.
  /// On a GPU they follow the ones added before.
  virtual std::byte* add(int64_t bytes) = 0;
  /// Copies bytes that were added, on a GPU when the current stream gets to it.
  virtual void copy(std::byte* to, const std::byte* from, int64_t bytes) const = 0;
  virtual c10::Device device() const = 0;
};

/// Memory of the system, for the CPU kernels: PagePool::kReadableAfter bytes behind what is added
/// may be read.
std::unique_ptr<PageMemory> host_memory();

/// Pages are cut out of large slabs, which are taken from the system when needed and kept until the
/// pool goes. A page that nobody has written to costs no memory yet. Several owners may share a
/// page: it is free when the last one has released it, and is then the next one to be given out,
/// while the processor's caches may still hold it. Not thread-safe.
class PagePool {
 public:
  /// max_bytes limits the pages that exist at any time (a part of a page does not count). Throws
  /// Error if page_bytes is not a positive multiple of 64, or if max_bytes is less than a page.
  explicit PagePool(int64_t page_bytes, std::optional<int64_t> max_bytes = std::nullopt,
                    std::unique_ptr<PageMemory> memory = host_memory());

  /// Appends `count` pages, with one owner each, to `pages`. False, and nothing has changed, if the
  /// pool's limit or the system's memory does not allow it.
  bool allocate(int64_t count, std::vector<PageId>& pages);
  /// Gives a page that somebody owns one more owner.
  void share(PageId page);
  /// Takes one owner from a page; without any it is free. Error (ours) if it has none.
  void release(PageId page);
  bool is_shared(PageId page) const { return num_owners_[page] > 1; }
  /// Says why a page that was given out is kept, once, until it is free.
  void set_kind(PageId page, PageKind kind);
  /// Copies what stands in a page to another one.
  void copy(PageId to, PageId from) const {
    memory_->copy(address(to), address(from), page_bytes_);
  }

  /// 64-byte aligned. In the memory of the system at least kReadableAfter bytes behind every page
  /// may be read: the kernels read whole vectors, past the last value of a row. What lies there
  /// changes no result. On a GPU pages stand one after the other in order of their ids.
  std::byte* address(PageId page) const {
    return slabs_[page >> pages_per_slab_log2_] + (page & page_mask_) * page_bytes_;
  }
  static constexpr int64_t kReadableAfter = 64;
  c10::Device device() const { return memory_->device(); }

  int64_t page_bytes() const { return page_bytes_; }
  /// Pages given out now, each counted once whatever its owners, and the most there ever were.
  int64_t pages_in_use() const { return pages_in_use_; }
  int64_t high_water() const { return high_water_; }
  int64_t bytes_in_use() const { return pages_in_use_ * page_bytes_; }
  /// Those of which it was said why they are kept.
  const PageKinds& kinds_in_use() const { return kinds_in_use_; }
  /// Pages that can still be given out if the system has the memory; a very large number
  /// without a limit.
  int64_t pages_left() const { return max_pages_ - pages_in_use_; }
  /// A number that it has never given before, above 0.
  int64_t new_version() { return ++version_; }

 private:
  bool grow_to(int64_t num_pages);

  int64_t page_bytes_;
  int64_t max_pages_;
  int pages_per_slab_log2_ = 0;
  PageId page_mask_ = 0;
  std::unique_ptr<PageMemory> memory_;
  std::vector<std::byte*> slabs_;
  int64_t num_pages_ = 0;            // that exist in slabs
  int64_t next_unused_ = 0;          // pages from here on were never given out
  std::vector<PageId> free_;         // the last is given out next
  std::vector<int32_t> num_owners_;  // of each page
  std::vector<PageKind> kinds_;      // of each page; null: nothing was said
  PageKinds kinds_in_use_;
  int64_t pages_in_use_ = 0, high_water_ = 0, version_ = 0;
};

}  // namespace longgen
