#include "longgen/serve/schedule/cache_keeper.h"

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
// What a request gets that would not fit with larger ones.
constexpr int64_t kSmallChunk = 512;

int64_t whole_blocks(int64_t num_tokens) { return num_tokens / kBlock * kBlock; }

/// The last boundary at which a prompt leaves a token to be computed.
int64_t last_boundary(const Request& request) { return whole_blocks(request.prompt_tokens() - 1); }

void check_multiple(const char* name, int64_t tokens) {
  LG_CHECK(tokens > 0 && tokens % kBlock == 0, "[serve] ", name,
           ": expected a positive multiple of ", kBlock, " tokens, found ", tokens, ".");
}

}  // namespace

CacheKeeper::CacheKeeper(const KvLayout& layout, const CacheKeeperOptions& options,
                         PageOwners& owners, uint64_t key)
    : options_(options),
      demand_(layout),
      ledger_(options.capacity_pages),
      prefixes_(layout, owners, key) {
  check_multiple("chunk", options.max_chunk);
  check_multiple("distance of checkpoints", options.checkpoint_tokens);
}

/// The largest chunk with which a request that begins behind the hit fits beside the hit's pages,
/// and the pages that it then takes.
std::optional<CacheKeeper::Place> CacheKeeper::place(const Request& request,
                                                     int64_t hit_tokens) const {
  const RemainingTokens rest = {hit_tokens, request.prompt_tokens(), request.end_tokens()};
  const int64_t beside = demand_.held(0, hit_tokens).total();
  for (const int64_t chunk : {options_.max_chunk, kSmallChunk, kBlock}) {
    if (chunk > options_.max_chunk) continue;
    const int64_t pages = demand_.peak(hit_tokens, rest, chunk).total();
    if (beside + pages <= ledger_.capacity()) return Place{chunk, pages};
  }
  return std::nullopt;
}

bool CacheKeeper::can_ever_fit(const Request& request) const {
  return request.end_tokens() <= KvLayout::kMaxTokens && place(request, 0).has_value();
}

int64_t CacheKeeper::known_tokens(const Request& request) const {
  if (!options_.keeps_prefixes || !request.reads_prefixes) return 0;
  return prefixes_.find(request.salt, request.prompt).hit_tokens;
}

int64_t CacheKeeper::tokens_left_by(const Request& earlier, const Request& later) const {
  if (!options_.keeps_prefixes || !later.reads_prefixes || earlier.salt != later.salt) return 0;
  const size_t count = std::min(earlier.prompt.size(), later.prompt.size() - 1);
  const auto end = earlier.prompt.begin() + static_cast<ptrdiff_t>(count);
  const int64_t alike = std::mismatch(earlier.prompt.begin(), end, later.prompt.begin()).first -
                        earlier.prompt.begin();
  const int64_t last = last_boundary(earlier);
  if (alike >= last) return last;
  return alike / options_.checkpoint_tokens * options_.checkpoint_tokens;
}

std::optional<CacheKeeper::Admission> CacheKeeper::admit(const Request& request) {
  LG_DCHECK(holders_.find(request.id) == holders_.end());
  PrefixCache::Match match;
  if (options_.keeps_prefixes && request.reads_prefixes) {
    match = prefixes_.find(request.salt, request.prompt);
  }
  std::optional<Place> place = this->place(request, match.hit_tokens);
  if (!place) {  // the hit's window pages stay beside the request's own: without them it may fit
    match.node = nullptr;
    match.hit_tokens = 0;
    place = this->place(request, 0);
  }
  LG_DCHECK(place.has_value());  // can_ever_fit() was asked
  if (match.node != nullptr) prefixes_.pin(match.node);
  if (!make_room(place->pages) || !ledger_.reserve(request.id, place->pages)) {
    if (match.node != nullptr) prefixes_.unpin(match.node);
    settle();
    return std::nullopt;
  }
  Holder& holder = holders_[request.id];
  holder.request = &request;
  holder.hit_tokens = match.hit_tokens;
  holder.hit = match.node;
  if (match.matched_tokens > match.hit_tokens) holder.branch_tokens = match.matched_tokens;
  return Admission{match.hit_tokens, place->max_chunk, prefixes_.use(match)};
}

bool CacheKeeper::make_room(int64_t pages) {
  // Nothing is evicted in vain where other requests hold too much.
  if (pages > ledger_.available() + ledger_.cached()) return false;
  while (ledger_.available() < pages) {
    if (!evict()) return false;
  }
  return true;
}

bool CacheKeeper::evict() {
  const bool done = prefixes_.evict_one();
  settle();
  return done;
}

/// The cache may have given up pages.
void CacheKeeper::settle() { ledger_.uncache(ledger_.cached() - prefixes_.num_pages()); }

/// The boundaries in (begin, end] that others may want to begin at, ascending.
std::vector<int64_t> CacheKeeper::checkpoints(const Holder& holder, int64_t begin,
                                              int64_t end) const {
  const int64_t last = last_boundary(*holder.request);
  std::vector<int64_t> all = {holder.branch_tokens, last - kBlock, last};
  const int64_t step = options_.checkpoint_tokens;
  for (int64_t at = (begin / step + 1) * step; at <= end; at += step) all.push_back(at);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  const auto is_elsewhere = [&](int64_t at) { return at <= begin || at > end || at > last; };
  all.erase(std::remove_if(all.begin(), all.end(), is_elsewhere), all.end());
  return all;
}

/// Others will begin where a prompt ends, or where two have parted; a checkpoint between is a
/// guess, for which nothing else goes.
bool CacheKeeper::may_evict_for(const Holder& holder, int64_t boundary) const {
  return boundary >= last_boundary(*holder.request) - kBlock || boundary == holder.branch_tokens;
}

void CacheKeeper::store(Holder& holder, int64_t boundary, const BlockPages& pages) {
  const Request& request = *holder.request;
  const bool may_evict = may_evict_for(holder, boundary);
  const auto may_grow = [&](const PrefixCache::Growth& growth) {
    if (may_evict && !make_room(growth.window)) return false;
    if (!ledger_.share(request.id, growth.lasting, growth.window)) return false;
    holder.given_pages += growth.lasting;
    return true;
  };
  PrefixCache::Node* const node =
      prefixes_.store(request.salt, std::span(request.prompt).first(boundary), pages, may_grow);
  if (node != nullptr) {
    prefixes_.pin(node);
    if (holder.stored != nullptr) prefixes_.unpin(holder.stored);
    holder.stored = node;
  }
  settle();
}

void CacheKeeper::passed(RequestId id, int64_t begin, int64_t end, const BlockPages& pages) {
  Holder& holder = holders_.at(id);
  const Request& request = *holder.request;
  if (end == request.prompt_tokens()) {
    const RemainingTokens rest = {end, end, request.end_tokens()};
    const int64_t peak = demand_.peak(holder.hit_tokens, rest, options_.max_chunk).total();
    ledger_.shrink(id, peak - holder.given_pages);
    ++num_releases_;
  }
  if (!options_.keeps_prefixes) return;
  for (const int64_t boundary : checkpoints(holder, begin, end)) store(holder, boundary, pages);
}

void CacheKeeper::end(RequestId id, std::span<const int32_t> tokens, const BlockPages* pages) {
  const auto found = holders_.find(id);
  LG_DCHECK(found != holders_.end());
  const Holder holder = found->second;
  const int64_t boundary = whole_blocks(static_cast<int64_t>(tokens.size()));
  int64_t kept = 0;
  if (options_.keeps_prefixes && pages != nullptr && boundary > holder.hit_tokens) {
    prefixes_.store(holder.request->salt, tokens.first(boundary), *pages,
                    [&](const PrefixCache::Growth& growth) {
                      kept = growth.lasting + growth.window;
                      return true;
                    });
  }
  ledger_.release(id, kept);
  if (holder.stored != nullptr) prefixes_.unpin(holder.stored);
  if (holder.hit != nullptr) prefixes_.unpin(holder.hit);
  holders_.erase(found);
  settle();
  ++num_releases_;
}

}  // namespace longgen
