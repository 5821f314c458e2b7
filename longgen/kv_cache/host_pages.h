// kv_cache/host_pages.h: memory of the host for pages that leave the pool and may come back.
#pragma once

#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "longgen/kv_cache/page_copies.h"
#include "longgen/kv_cache/page_pool.h"

namespace longgen {

/// One allocation, pinned where the pool is on a GPU. Pages are copied many at a time; on a GPU
/// beside the steps, on a stream of their own, by the engines for copies. Not thread-safe.
class HostPages {
 public:
  /// Takes as many whole pages of the pool's size as `bytes` hold. Throws Error where that is none,
  /// and where the machine does not have the memory. The pool must outlive it.
  HostPages(const PagePool& pool, int64_t bytes);
  /// Waits for copies that are under way.
  ~HostPages();
  HostPages(const HostPages&) = delete;
  HostPages& operator=(const HostPages&) = delete;

  int64_t capacity() const { return capacity_; }
  /// Begins copies, behind all work that is queued on the current stream of the pool's device. On a
  /// CPU they are made when it returns. end() must be called before the next ones.
  void begin(const PageCopies& copies);
  /// Are the copies made that were begun?
  bool is_done() const;
  /// Waits for them. Returns the seconds that they took.
  double end();

 private:
  struct OnGpu;

  std::byte* address(HostPageId page) const { return begin_ + page * pool_.page_bytes(); }
  void copy_on_cpu(const PageCopies& copies);
  void copy_on_gpu(const PageCopies& copies);

  const PagePool& pool_;
  int64_t capacity_;
  std::unique_ptr<PageMemory> memory_;
  std::byte* begin_ = nullptr;
  double seconds_ = 0;  // of the last copies on a CPU
  std::unique_ptr<OnGpu> gpu_;
};

}  // namespace longgen
