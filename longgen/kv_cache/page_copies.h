// kv_cache/page_copies.h: pages that go to the host and come back. Without torch.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/kv_cache/page_layout.h"

namespace longgen {

/// Index of a page in memory of the host; never negative.
using HostPageId = int32_t;
/// Stands where the host has no page.
inline constexpr HostPageId kNoHostPage = -1;

/// A page of the pool and the one on the host that it is copied to, or from.
struct PageCopy {
  PageId device;
  HostPageId host;
};

/// Copies between pages of which none stands in two, so that their order does not matter.
struct PageCopies {
  std::vector<PageCopy> to_device, to_host;

  /// In both directions.
  int64_t size() const;
};

}  // namespace longgen
