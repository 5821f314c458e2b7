// serve/host_copies.h: pages between the KV cache and the host, and how long their copies take.
#pragma once

#include <cstdint>

#include "longgen/kv_cache/host_pages.h"
#include "longgen/serve/schedule/cost_model.h"

namespace longgen {

/// The host's memory for pages, with the time that copies took. Not thread-safe.
class HostCopies {
 public:
  /// Takes the memory. Throws Error as HostPages does. The pool must outlive it.
  HostCopies(PagePool& pool, int64_t bytes) : pool_(pool), pages_(pool, bytes) {}

  int64_t capacity() const { return pages_.capacity(); }
  /// Copies some pages there and back, to know how long one takes; not where the pool has no memory
  /// for them. No copies may be under way.
  void measure();
  /// Begins copies; on a CPU they are made when it returns. end() must be called before the next
  /// ones. `now` in seconds.
  void begin(const PageCopies& copies, double now);
  /// Are the copies made that were begun?
  bool is_done() const { return pages_.is_done(); }
  /// Waits for them, and learns how long they took.
  void end();
  /// When they will be made, as predicted by begin(), in seconds.
  double expected_end() const { return expected_end_; }
  /// 0 where nothing is known yet.
  double seconds_per_page() const { return cost_.seconds_per_page(); }

 private:
  PagePool& pool_;
  HostPages pages_;
  CopyCost cost_;
  int64_t num_under_way_ = 0;
  double expected_end_ = 0;
};

}  // namespace longgen
