#include "longgen/serve/schedule/page_ledger.h"

#include "longgen/base/check.h"

namespace longgen {

PageLedger::PageLedger(int64_t capacity) : capacity_(capacity) {
  LG_CHECK(capacity >= 1, "[serve] the KV cache must hold at least one page, found ", capacity,
           ". Allow it more memory.");
}

int64_t& PageLedger::pages_of(RequestId request) {
  const auto found = pages_of_.find(request);
  LG_DCHECK(found != pages_of_.end());
  return found->second;
}

int64_t PageLedger::reserved_for(RequestId request) const {
  const auto found = pages_of_.find(request);
  return found == pages_of_.end() ? 0 : found->second;
}

bool PageLedger::reserve(RequestId request, int64_t pages) {
  LG_DCHECK(pages >= 0 && pages_of_.find(request) == pages_of_.end());
  if (pages > available()) return false;
  pages_of_.emplace(request, pages);
  reserved_ += pages;
  return true;
}

bool PageLedger::extend(RequestId request, int64_t pages) {
  int64_t& now = pages_of(request);
  LG_DCHECK(pages >= now);
  if (pages - now > available()) return false;
  reserved_ += pages - now;
  now = pages;
  return true;
}

void PageLedger::shrink(RequestId request, int64_t pages) {
  int64_t& now = pages_of(request);
  LG_DCHECK(pages >= 0 && pages <= now);
  reserved_ -= now - pages;
  now = pages;
}

bool PageLedger::share(RequestId request, int64_t lasting, int64_t window) {
  int64_t& now = pages_of(request);
  LG_DCHECK(lasting >= 0 && lasting <= now && window >= 0);
  if (window > available()) return false;
  now -= lasting;
  reserved_ -= lasting;
  cached_ += lasting + window;
  return true;
}

void PageLedger::release(RequestId request, int64_t kept) {
  const int64_t now = pages_of(request);
  LG_DCHECK(kept >= 0 && kept <= now);
  reserved_ -= now;
  cached_ += kept;
  pages_of_.erase(request);
}

void PageLedger::uncache(int64_t pages) {
  LG_DCHECK(pages >= 0 && pages <= cached_);
  cached_ -= pages;
}

bool PageLedger::cache(int64_t pages) {
  LG_DCHECK(pages >= 0);
  if (pages > available()) return false;
  cached_ += pages;
  return true;
}

}  // namespace longgen
