#include "longgen/serve/host_copies.h"

#include <algorithm>
#include <vector>

namespace longgen {
namespace {

// What is copied to measure how long a page takes, at most.
constexpr int64_t kMeasuredBytes = int64_t{32} << 20;

}  // namespace

void HostCopies::measure() {
  const int64_t count = std::clamp<int64_t>(kMeasuredBytes / pool_.page_bytes(), 1,
                                            std::min(capacity(), pool_.pages_left()));
  std::vector<PageId> pages;
  if (!pool_.allocate(count, pages)) return;  // what is found later will do
  PageCopies out, in;
  for (HostPageId n = 0; n < count; ++n) out.to_host.push_back({pages[n], n});
  in.to_device = out.to_host;
  pages_.begin(out);  // the first time memory is new
  pages_.end();
  for (const PageCopies* const copies : {&out, &in}) {
    pages_.begin(*copies);
    cost_.add(count, pages_.end());
  }
  for (const PageId page : pages) pool_.release(page);
}

void HostCopies::begin(const PageCopies& copies, double now) {
  num_under_way_ = copies.size();
  expected_end_ = now + static_cast<double>(num_under_way_) * seconds_per_page();
  pages_.begin(copies);
}

void HostCopies::end() { cost_.add(num_under_way_, pages_.end()); }

}  // namespace longgen
