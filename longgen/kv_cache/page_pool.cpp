#include "longgen/kv_cache/page_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

// Large enough that slabs are few and huge pages fill them; untouched memory costs nothing.
constexpr int64_t kSlabBytes = int64_t{64} << 20;
// Slabs start at a huge page of the system: the cache is read in long runs, and 4 KiB pages would
// spend time on address translation.
constexpr int64_t kSlabAlignment = int64_t{2} << 20;
constexpr int64_t kMaxPages = std::numeric_limits<PageId>::max();

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

class HostMemory : public PageMemory {
 public:
  std::byte* add(int64_t bytes) override {
    const int64_t rounded = round_up(bytes + PagePool::kReadableAfter, kSlabAlignment);
    std::unique_ptr<void, Release> slab(std::aligned_alloc(kSlabAlignment, rounded));
    if (slab == nullptr) return nullptr;
    madvise(slab.get(), rounded, MADV_HUGEPAGE);  // a wish; the system may refuse
    slabs_.push_back(std::move(slab));
    return static_cast<std::byte*>(slabs_.back().get());
  }
  void copy(std::byte* to, const std::byte* from, int64_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  c10::Device device() const override { return c10::kCPU; }

 private:
  struct Release {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::vector<std::unique_ptr<void, Release>> slabs_;
};

}  // namespace

std::unique_ptr<PageMemory> host_memory() { return std::make_unique<HostMemory>(); }

PagePool::PagePool(int64_t page_bytes, std::optional<int64_t> max_bytes,
                   std::unique_ptr<PageMemory> memory)
    : page_bytes_(page_bytes), memory_(std::move(memory)) {
  LG_CHECK(page_bytes > 0 && page_bytes % 64 == 0 && page_bytes <= int64_t{1} << 40,
           "[page pool] a page must have a positive multiple of 64 bytes, found ", page_bytes, ".");
  max_pages_ =
      std::min(kMaxPages, max_bytes.value_or(std::numeric_limits<int64_t>::max()) / page_bytes);
  LG_CHECK(max_pages_ > 0, "[page pool] the KV cache is limited to ", *max_bytes,
           " bytes, but one page has ", page_bytes, ". Allow it more memory.");
  while (pages_per_slab_log2_ < 20 && (page_bytes << (pages_per_slab_log2_ + 1)) <= kSlabBytes) {
    ++pages_per_slab_log2_;
  }
  page_mask_ = (PageId{1} << pages_per_slab_log2_) - 1;
}

bool PagePool::grow_to(int64_t num_pages) {
  const int64_t pages_per_slab = int64_t{1} << pages_per_slab_log2_;
  while (num_pages_ < num_pages) {
    const int64_t count = std::min(pages_per_slab, max_pages_ - num_pages_);
    std::byte* const slab = memory_->add(count * page_bytes_);
    if (slab == nullptr) return false;
    slabs_.push_back(slab);
    num_pages_ += count;
    num_owners_.resize(num_pages_);
    kinds_.resize(num_pages_);
    free_.reserve(num_pages_);  // so that release() never needs memory
  }
  return true;
}

bool PagePool::allocate(int64_t count, std::vector<PageId>& pages) {
  LG_CHECK(count >= 0, "[page pool] cannot allocate ", count, " pages.");
  if (count > pages_left()) return false;
  const int64_t reused = std::min<int64_t>(count, static_cast<int64_t>(free_.size()));
  const int64_t fresh = count - reused;
  if (!grow_to(next_unused_ + fresh)) return false;
  pages.reserve(pages.size() + count);
  for (int64_t i = 0; i < reused; ++i) {
    pages.push_back(free_.back());
    free_.pop_back();
  }
  for (int64_t i = 0; i < fresh; ++i) pages.push_back(static_cast<PageId>(next_unused_++));
  for (auto page = pages.end() - count; page != pages.end(); ++page) num_owners_[*page] = 1;
  pages_in_use_ += count;
  high_water_ = std::max(high_water_, pages_in_use_);
  return true;
}

void PagePool::share(PageId page) {
  LG_DCHECK(page >= 0 && page < next_unused_ && num_owners_[page] > 0);
  ++num_owners_[page];
}

void PagePool::set_kind(PageId page, PageKind kind) {
  LG_DCHECK(page >= 0 && page < next_unused_ && num_owners_[page] > 0 && kinds_[page] == nullptr);
  kinds_[page] = kind;
  ++(kinds_in_use_.*kind);
}

void PagePool::release(PageId page) {
  LG_DCHECK(page >= 0 && page < next_unused_ && num_owners_[page] > 0);
  if (--num_owners_[page] > 0) return;
  if (const PageKind kind = std::exchange(kinds_[page], nullptr)) --(kinds_in_use_.*kind);
  free_.push_back(page);
  --pages_in_use_;
}

}  // namespace longgen
