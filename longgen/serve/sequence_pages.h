// serve/sequence_pages.h: pages of the engine as decisions see them, which know no torch.
#pragma once

#include <vector>

#include "longgen/kv_cache/page_pool.h"
#include "longgen/kv_cache/sequence_cache.h"
#include "longgen/serve/schedule/prefix_cache.h"

namespace longgen {

/// Which pages hold the blocks of a sequence, which must outlive it.
class SequencePages : public BlockPages {
 public:
  explicit SequencePages(const SequenceCache& cache) : cache_(cache) {}

  PageId page(int64_t table, int64_t block) const override {
    const int64_t num_kv_heads = cache_.layout().shape().num_kv_heads;
    const std::vector<PageId>& pages = cache_.pages(table / num_kv_heads, table % num_kv_heads);
    return block < std::ssize(pages) ? pages[static_cast<size_t>(block)] : kNoPage;
  }

 private:
  const SequenceCache& cache_;
};

/// The owners of a pool's pages. The pool must outlive it.
class PoolOwners : public PageOwners {
 public:
  explicit PoolOwners(PagePool& pool) : pool_(pool) {}

  bool allocate(int64_t count, std::vector<PageId>& pages) override {
    return pool_.allocate(count, pages);
  }
  void share(PageId page) override { pool_.share(page); }
  void release(PageId page) override { pool_.release(page); }
  void set_kind(PageId page, PageKind kind) override { pool_.set_kind(page, kind); }

 private:
  PagePool& pool_;
};

}  // namespace longgen
