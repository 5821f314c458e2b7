#include "longgen/serve/schedule/cached_pages.h"

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen {

CachedPages::CachedPages(const KvLayout& layout, PageOwners& owners, int64_t host_capacity)
    : layout_(layout), owners_(owners), host_capacity_(host_capacity) {}

CachedPages::~CachedPages() {
  for (const Page& page : pages_) {
    if (page.device != kNoPage) owners_.release(page.device);
  }
}

CachedPages::Ref CachedPages::find(PageId page) const {
  const auto index = static_cast<size_t>(page);
  return index < of_device_.size() ? of_device_[index] : kNone;
}

CachedPages::Ref CachedPages::new_page(int32_t table, int32_t block) {
  if (free_.empty()) {
    free_.push_back(static_cast<Ref>(pages_.size()));
    pages_.emplace_back();
  }
  const Ref ref = free_.back();
  free_.pop_back();
  pages_[ref] = {.table = table, .block = block};
  return ref;
}

void CachedPages::count(const Page& page, int64_t sign) {
  const auto kind = page_kind(layout_, page.table, page.block);
  if (page.is_cached()) on_device_.*kind += sign;
  if (page.is_leaving()) num_leaving_ += sign;
  if (page.host != kNoHostPage) on_host_.*kind += sign;
  if (page.is_cached_on_host()) num_cached_on_host_ += sign;
}

void CachedPages::put_on_device(Ref ref, PageId page) {
  const auto index = static_cast<size_t>(page);
  if (index >= of_device_.size()) of_device_.resize(index + index / 2 + 1, kNone);
  LG_DCHECK(of_device_[index] == kNone);
  of_device_[index] = ref;
  pages_[ref].device = page;
}

void CachedPages::take_from_device(Page& page) {
  of_device_[static_cast<size_t>(page.device)] = kNone;
  owners_.release(page.device);
  page.device = kNoPage;
}

void CachedPages::put_on_host(Page& page) {
  if (host_free_.empty()) host_free_.push_back(host_unused_++);
  page.host = host_free_.back();
  host_free_.pop_back();
  LG_DCHECK(page.host < host_capacity_);
}

void CachedPages::take_from_host(Page& page) {
  host_free_.push_back(page.host);
  page.host = kNoHostPage;
  page.is_on_host = false;
}

/// Changes holders or copies of a page, and does what follows of it.
template <typename Change>
void CachedPages::change(Ref ref, const Change& change) {
  count(pages_[ref], -1);
  change(pages_[ref]);
  settle(ref);
  count(pages_[ref], 1);
}

/// Gives up what no holder wants, and asks for a copy where one does not have it.
void CachedPages::settle(Ref ref) {
  Page& page = pages_[ref];
  if (page.is_under_way) return;  // until it is done nothing can be given up
  if (page.wants_device()) {
    if (page.copy == Copy::out) page.copy = Copy::none;
  } else if (page.wants_host() && !page.is_on_host) {
    if (page.copy != Copy::out) waiting_out_.push_back(ref);
    page.copy = Copy::out;
  } else {
    page.copy = Copy::none;
    if (page.device != kNoPage) take_from_device(page);
  }
  if (page.wants_host() || page.copy == Copy::in) return;
  if (page.host != kNoHostPage) take_from_host(page);
  if (!page.wants_device()) free_.push_back(ref);
}

/// The name of a page of the pool, which gets one where it has none yet.
CachedPages::Ref CachedPages::take(const HeldPage& held) {
  Ref ref = find(held.page);
  if (ref != kNone) return ref;
  ref = new_page(held.table, held.block);
  owners_.share(held.page);
  put_on_device(ref, held.page);
  count(pages_[ref], 1);
  return ref;
}

CachedPages::Ref CachedPages::hold(const HeldPage& held) {
  const Ref ref = take(held);
  change(ref, [](Page& page) { ++page.device_holders; });
  return ref;
}

void CachedPages::release(Ref ref, PageTier from) {
  change(ref, [&](Page& page) {
    int32_t& holders = from == PageTier::device ? page.device_holders : page.host_holders;
    LG_DCHECK(holders > 0);
    --holders;
  });
}

HeldPage CachedPages::held(Ref ref) const {
  const Page& page = pages_[ref];
  LG_DCHECK(page.device != kNoPage);
  return {page.table, page.block, page.device};
}

int64_t CachedPages::num_to_host(std::span<const Ref> refs) const {
  return std::count_if(refs.begin(), refs.end(),
                       [this](Ref ref) { return !pages_[ref].is_cached_on_host(); });
}

void CachedPages::to_host(std::span<const Ref> refs) {
  LG_DCHECK(num_to_host(refs) <= host_room());
  for (const Ref ref : refs) {
    change(ref, [this](Page& page) {
      --page.device_holders, ++page.host_holders;
      if (page.host == kNoHostPage) put_on_host(page);
    });
  }
}

int64_t CachedPages::num_to_device(std::span<const Ref> refs) const {
  return std::count_if(refs.begin(), refs.end(),
                       [this](Ref ref) { return !pages_[ref].is_cached(); });
}

bool CachedPages::to_device(std::span<const Ref> refs) {
  return take_back(refs, &Page::host_holders, &Page::device_holders);
}

bool CachedPages::take_back(std::span<const Ref> refs, int32_t Page::*from, int32_t Page::*to) {
  const auto is_away = [this](Ref ref) { return pages_[ref].device == kNoPage; };
  std::vector<PageId> taken;
  if (!owners_.allocate(std::count_if(refs.begin(), refs.end(), is_away), taken)) return false;
  auto next = taken.begin();
  for (const Ref ref : refs) {
    change(ref, [&](Page& page) {
      --(page.*from), ++(page.*to);
      if (page.device != kNoPage) return;
      owners_.set_kind(*next, page_kind(layout_, page.table, page.block));
      put_on_device(ref, *next++);
      page.copy = Copy::in;
      waiting_in_.push_back(ref);
      ++num_asked_;
    });
  }
  return true;
}

void CachedPages::to_device(Ref ref, PageId same) {
  change(ref, [&](Page& page) {
    --page.host_holders, ++page.device_holders;
    if (page.device != kNoPage) return;
    owners_.share(same);
    put_on_device(ref, same);
  });
}

CachedPages::Ref CachedPages::swap_out(const HeldPage& held) {
  const Ref ref = take(held);
  change(ref, [this](Page& page) {
    ++page.swapped;
    if (page.host == kNoHostPage) put_on_host(page);
  });
  return ref;
}

bool CachedPages::have_left(std::span<const Ref> refs) const {
  return std::none_of(refs.begin(), refs.end(),
                      [this](Ref ref) { return pages_[ref].is_leaving(); });
}

bool CachedPages::swap_in(std::span<const Ref> refs) {
  return take_back(refs, &Page::swapped, &Page::returning);
}

void CachedPages::release_swapped(Ref ref, bool is_back) {
  change(ref, [&](Page& page) { --(is_back ? page.returning : page.swapped); });
}

/// Those that were asked for first and that somebody still wants.
void CachedPages::take_waiting(std::deque<Ref>& waiting, Copy copy, int64_t most,
                               std::vector<PageCopy>& to) {
  for (; most > 0 && !waiting.empty(); waiting.pop_front()) {
    num_arriving_ += copy == Copy::in ? 1 : 0;
    Page& page = pages_[waiting.front()];
    if (page.copy != copy || page.is_under_way) continue;
    page.is_under_way = true;
    under_way_.push_back(waiting.front());
    to.push_back({page.device, page.host});
    --most;
  }
}

PageCopies CachedPages::begin_copies(int64_t most) {
  PageCopies copies;
  if (is_copying()) return copies;
  take_waiting(waiting_in_, Copy::in, most, copies.to_device);
  take_waiting(waiting_out_, Copy::out, most - copies.size(), copies.to_host);
  if (!is_copying()) num_arrived_ = num_arriving_;  // what was left is not wanted
  return copies;
}

void CachedPages::end_copies() {
  const Refs done = std::move(under_way_);
  under_way_.clear();
  for (const Ref ref : done) {
    change(ref, [](Page& page) {
      page.is_under_way = false;
      page.is_on_host = true;
      page.copy = Copy::none;
    });
  }
  num_arrived_ = num_arriving_;
}

}  // namespace longgen
