// serve/schedule/page_ledger.h: whose the pages of the pool are, before anybody has taken one.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace longgen {

/// Names a request of a server, which never gives the same one twice.
using RequestId = int64_t;

/// Promises pages. At all times capacity = reserved + cached + available, where
///   reserved   the most pages of their own that admitted requests will hold from now on
///   cached     pages that the prefix cache owns, each once, whoever else reads them
/// A request takes pages only within what is reserved for it, so that the pool never lacks one and
/// no request that has begun waits for another. Not thread-safe.
class PageLedger {
 public:
  /// Throws Error on less than one page.
  explicit PageLedger(int64_t capacity);

  int64_t capacity() const { return capacity_; }
  int64_t reserved() const { return reserved_; }
  int64_t cached() const { return cached_; }
  int64_t available() const { return capacity_ - reserved_ - cached_; }
  int64_t reserved_for(RequestId request) const;
  int64_t num_requests() const { return static_cast<int64_t>(pages_of_.size()); }

  /// Reserves pages for a request that has none yet. False, and nothing has changed, where fewer
  /// are available.
  [[nodiscard]] bool reserve(RequestId request, int64_t pages);
  /// Says that the request will hold up to `pages` from now on, at least what it had. False, and
  /// nothing has changed, where fewer are available.
  [[nodiscard]] bool extend(RequestId request, int64_t pages);
  /// Says that the request will hold no more than `pages` from now on, at most what it had.
  void shrink(RequestId request, int64_t pages);
  /// Says that the prefix cache owns `lasting` pages of the request, which the request would hold
  /// to its end, and `window` ones, which it lets go earlier. False, and nothing has changed, where
  /// fewer than `window` are available.
  [[nodiscard]] bool share(RequestId request, int64_t lasting, int64_t window);
  /// Ends a request of whose pages the cache keeps `kept`, at most what was reserved.
  void release(RequestId request, int64_t kept = 0);
  /// Says that the prefix cache has given up pages.
  void uncache(int64_t pages);
  /// Says that the prefix cache takes pages that nobody has. False, and nothing has changed, where
  /// fewer are available.
  [[nodiscard]] bool cache(int64_t pages);

 private:
  int64_t& pages_of(RequestId request);

  int64_t capacity_, reserved_ = 0, cached_ = 0;
  std::unordered_map<RequestId, int64_t> pages_of_;
};

}  // namespace longgen
