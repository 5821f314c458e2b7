#include "longgen/serve/schedule/cache_keeper.h"

#include <algorithm>
#include <cmath>
#include <iterator>

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
      pages_(layout, owners, options.host_pages),
      prefixes_(layout, pages_, key) {
  LG_CHECK(options.host_pages >= 0, "[serve] pages on the host: expected 0 or more, found ",
           options.host_pages, ".");
  LG_CHECK(options.overcommit >= 1 && (options.overcommit == 1 || options.host_pages > 0),
           "[serve] overcommit: expected 1, or more with room on the host, found ",
           options.overcommit, " and ", options.host_pages, " pages.");
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
    if (beside + pages > ledger_.capacity()) continue;
    if (!overcommits()) return Place{chunk, pages, pages};
    const RemainingTokens expected = {hit_tokens, rest.prompt_tokens,
                                      expected_tokens(request, rest.prompt_tokens)};
    return Place{chunk, demand_.peak(hit_tokens, expected, chunk).total(), pages};
  }
  return std::nullopt;
}

/// How many tokens a request that has num_tokens, or its prompt, is expected to have at its end.
int64_t CacheKeeper::expected_tokens(const Request& request, int64_t num_tokens) const {
  const auto left = static_cast<double>(request.end_tokens() - num_tokens);
  return num_tokens + static_cast<int64_t>(std::ceil(left / options_.overcommit));
}

/// The most pages that it has between two steps. None where it is alone: it stays.
int64_t CacheKeeper::pages_to_promise(const Request& request) const {
  if (!overcommits() || holders_.empty()) return 0;
  const int64_t prompt = request.prompt_tokens();
  return demand_.peak(0, {prompt, prompt, request.end_tokens()}, kBlock).total();
}

bool CacheKeeper::can_ever_fit(const Request& request) const {
  return request.end_tokens() <= KvLayout::kMaxTokens && place(request, 0).has_value();
}

/// Where a request begins: at the longest prefix, unless that is on the host and it is sooner done
/// from what is on the device.
PrefixCache::Match CacheKeeper::match(const Request& request, const PrefixSeconds& seconds) const {
  if (!options_.keeps_prefixes || !request.reads_prefixes) return {};
  const PrefixCache::Match longest = prefixes_.find(request.salt, request.prompt);
  if (longest.pages_to_load == 0) return longest;
  const bool may_load = no_load_at_ != num_releases_;
  PrefixCache::Match here = prefixes_.find(request.salt, request.prompt, /*on_host=*/false);
  const bool loads = may_load && seconds(request, {longest.hit_tokens, longest.pages_to_load}) <=
                                     seconds(request, {here.hit_tokens});
  return loads ? longest : here;
}

KnownPrefix CacheKeeper::known(const Request& request, const PrefixSeconds& seconds) const {
  const PrefixCache::Match match = this->match(request, seconds);
  return {match.hit_tokens, match.pages_to_load};
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

std::optional<CacheKeeper::Admission> CacheKeeper::admit(const Request& request,
                                                         const PrefixSeconds& seconds) {
  LG_DCHECK(holders_.find(request.id) == holders_.end());
  const int64_t promised = pages_to_promise(request);
  const bool has_promise = prefixes_.make_host_room(promised);
  settle();
  if (!has_promise) return std::nullopt;
  pages_.promise(promised);
  PrefixCache::Match match = this->match(request, seconds);
  std::optional<Place> place = this->place(request, match.hit_tokens);
  if (!place) {  // the hit's window pages stay beside the request's own: without them it may fit
    match = {};
    place = this->place(request, 0);
  }
  LG_DCHECK(place.has_value());  // can_ever_fit() was asked
  const int64_t device_tokens =
      match.pages_to_load == 0
          ? match.hit_tokens
          : prefixes_.find(request.salt, request.prompt, /*on_host=*/false).hit_tokens;
  if (!bring(match, request.id, place->pages)) {
    pages_.promise(-promised);
    return std::nullopt;
  }
  Holder& holder = holders_[request.id];
  holder.request = &request;
  holder.hit_tokens = match.hit_tokens;
  holder.hit = match.node;
  holder.reserved_tokens = expected_tokens(request, request.prompt_tokens());
  holder.promised_pages = promised;
  holder.most_pages = place->most_pages;
  if (match.matched_tokens > match.hit_tokens) holder.branch_tokens = match.matched_tokens;
  Admission admission = {.hit_tokens = match.hit_tokens,
                         .max_chunk = place->max_chunk,
                         .pages = prefixes_.use(match),
                         .arrives_at = prefixes_.arrives_at(match),
                         .host_tokens = match.hit_tokens - device_tokens};
  if (admission.arrives_at > 0) {
    prefixes_.pin(match.node);
    arrivals_.push_back({match.node, admission.arrives_at});
  }
  make_room_ahead(request);
  return admission;
}

/// Reserves pages and pins the match, which is on the device then. False, and nothing is reserved,
/// where too few can be had now.
bool CacheKeeper::bring(const PrefixCache::Match& match, RequestId request, int64_t pages) {
  if (match.node == nullptr) return make_room(pages) && ledger_.reserve(request, pages);
  prefixes_.pin(match.node);
  if (match.on_device != nullptr) prefixes_.pin(match.on_device);
  // Nothing of the match was evicted to make room for it.
  bool is_there = make_room(pages + match.pages_to_load) && ledger_.reserve(request, pages);
  if (is_there && !ledger_.cache(prefixes_.pages_to_load(match))) {
    ledger_.release(request);
    is_there = false;
  }
  if (is_there) {
    is_there = prefixes_.load(match);
    if (!is_there) {  // it may begin without the host, at once
      ledger_.release(request);
      no_load_at_ = ++num_releases_;
    }
  }
  if (!is_there) prefixes_.unpin(match.node);
  if (match.on_device != nullptr) prefixes_.unpin(match.on_device);
  settle();
  return is_there;
}

/// False where the room is not there now; it may be once pages have left for the host.
bool CacheKeeper::make_room(int64_t pages) {
  // Nothing is evicted in vain where other requests hold too much.
  if (pages > ledger_.available() + ledger_.cached()) return false;
  while (ledger_.available() + pages_.num_leaving() < pages) {
    if (!evict()) return false;
  }
  return ledger_.available() >= pages;
}

/// Pages leave for the host in time for the checkpoints at the prompt's end, of which two share
/// nearly all.
void CacheKeeper::make_room_ahead(const Request& request) {
  if (!options_.keeps_prefixes || pages_.host_capacity() == 0) return;
  make_room(2 * demand_.held(0, last_boundary(request)).window);
}

bool CacheKeeper::evict() {
  const bool done = prefixes_.evict_one();
  settle();
  return done;
}

/// The cache may have given up pages, or have come to own some that were reserved before.
void CacheKeeper::settle() {
  const int64_t more = pages_.on_device().total() - ledger_.cached();
  if (more <= 0) return ledger_.uncache(-more);
  const bool is_there = ledger_.cache(more);
  LG_DCHECK(is_there);
}

void CacheKeeper::end_copies() {
  pages_.end_copies();
  const auto is_there = [this](const Arrival& arrival) { return arrival.at <= num_arrived(); };
  for (const Arrival& arrival : arrivals_) {
    if (is_there(arrival)) prefixes_.unpin(arrival.node);
  }
  arrivals_.erase(std::remove_if(arrivals_.begin(), arrivals_.end(), is_there), arrivals_.end());
  settle();
  ++num_releases_;
}

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
  // What a request may still reserve has to fit beside the pages that it pins.
  const int64_t later = std::max<int64_t>(
      0, holder.most_pages - holder.given_pages - ledger_.reserved_for(request.id));
  const auto may_grow = [&](const PrefixCache::Growth& growth) {
    if (may_evict && !make_room(growth.window + later)) return false;
    if (growth.window + later > ledger_.available()) return false;
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
    const RemainingTokens rest = {end, end, holder.reserved_tokens};
    const int64_t peak = demand_.peak(holder.hit_tokens, rest, options_.max_chunk).total();
    ledger_.shrink(id, peak - holder.given_pages);
    holder.most_pages =
        demand_.peak(holder.hit_tokens, {end, end, request.end_tokens()}, kBlock).total();
    ++num_releases_;
  }
  if (!options_.keeps_prefixes) return;
  for (const int64_t boundary : checkpoints(holder, begin, end)) store(holder, boundary, pages);
}

bool CacheKeeper::extend(RequestId id, int64_t num_tokens) {
  Holder& holder = holders_.at(id);
  if (num_tokens <= holder.reserved_tokens) return true;
  const Request& request = *holder.request;
  const int64_t there = num_tokens - 1;
  // As much as is expected, or a block at least.
  for (const int64_t tokens : {expected_tokens(request, num_tokens), num_tokens + kBlock}) {
    const RemainingTokens rest = {there, there, std::min(tokens, request.end_tokens())};
    const int64_t now = ledger_.reserved_for(id);
    const int64_t pages =
        std::max(now, demand_.peak(holder.hit_tokens, rest, kBlock).total() - holder.given_pages);
    if (!make_room(pages - now) || !ledger_.extend(id, pages)) continue;
    holder.reserved_tokens = rest.end_tokens;
    return true;
  }
  return false;
}

bool CacheKeeper::can_swap_out(RequestId id) const {
  const Holder& holder = holders_.at(id);
  return holder.promised_pages > 0 && holder.is_here();
}

void CacheKeeper::unpin(Holder& holder) {
  for (PrefixCache::Node* const node : {holder.stored, holder.hit}) {
    if (node != nullptr) prefixes_.unpin(node);
  }
  holder.stored = holder.hit = nullptr;
}

void CacheKeeper::swap_out(RequestId id, int64_t num_tokens, const BlockPages& pages) {
  Holder& holder = holders_.at(id);
  LG_DCHECK(can_swap_out(id) && num_tokens > 0);
  for (int64_t table = 0; table < demand_.num_tables(); ++table) {
    for (int64_t block = 0; block < num_blocks(num_tokens); ++block) {
      const PageId page = pages.page(table, block);
      if (page == kNoPage) continue;
      holder.away.push_back(
          pages_.swap_out({static_cast<int32_t>(table), static_cast<int32_t>(block), page}));
    }
  }
  LG_DCHECK(std::ssize(holder.away) <= holder.promised_pages);
  holder.away_tokens = num_tokens;
  unpin(holder);
  ledger_.release(id);
  settle();
  ++num_releases_;
}

std::optional<CacheKeeper::Admission> CacheKeeper::swap_in(RequestId id) {
  Holder& holder = holders_.at(id);
  LG_DCHECK(!holder.is_here() && !holder.is_returning);
  if (!pages_.have_left(holder.away)) return std::nullopt;
  const Request& request = *holder.request;
  const int64_t there = holder.away_tokens;
  const int64_t expected =
      std::max(there + 1, expected_tokens(request, std::max(there, request.prompt_tokens())));
  const RemainingTokens rest = {there, request.prompt_tokens(),
                                std::min(expected, request.end_tokens())};
  const std::optional<Place> place = place_alone(rest);
  LG_DCHECK(place.has_value());  // it fits alone, as it did when it came
  if (!make_room(place->pages) || !ledger_.reserve(id, place->pages)) return std::nullopt;
  if (!pages_.swap_in(holder.away)) {
    ledger_.release(id);
    return std::nullopt;
  }
  settle();
  holder.hit_tokens = holder.given_pages = holder.branch_tokens = 0;
  holder.most_pages =
      demand_.peak(0, {there, request.prompt_tokens(), request.end_tokens()}, place->max_chunk)
          .total();
  holder.reserved_tokens = rest.end_tokens;
  holder.is_returning = true;
  Admission admission;
  admission.hit_tokens = there;
  admission.max_chunk = place->max_chunk;
  for (const CachedPages::Ref ref : holder.away) {
    admission.pages.push_back(pages_.held(ref));
    if (pages_.is_arriving(ref)) admission.arrives_at = pages_.num_asked();
  }
  return admission;
}

/// The largest chunk with which the rest of a request fits if it has all pages to itself.
std::optional<CacheKeeper::Place> CacheKeeper::place_alone(const RemainingTokens& rest) const {
  for (const int64_t chunk : {options_.max_chunk, kSmallChunk, kBlock}) {
    if (chunk > options_.max_chunk) continue;
    const int64_t pages = demand_.peak(0, rest, chunk).total();
    if (pages <= ledger_.capacity()) return Place{chunk, pages, pages};
  }
  return std::nullopt;
}

void CacheKeeper::swapped_in(RequestId id) {
  Holder& holder = holders_.at(id);
  for (const CachedPages::Ref ref : holder.away) pages_.release_swapped(ref, /*is_back=*/true);
  holder.away.clear();
  holder.is_returning = false;
  settle();
}

void CacheKeeper::end(RequestId id, std::span<const int32_t> tokens, const BlockPages* pages) {
  const auto found = holders_.find(id);
  LG_DCHECK(found != holders_.end());
  Holder holder = found->second;
  const bool has_reservation = holder.is_here() || holder.is_returning;
  const int64_t boundary = whole_blocks(static_cast<int64_t>(tokens.size()));
  int64_t kept = 0;
  if (options_.keeps_prefixes && pages != nullptr && boundary > holder.hit_tokens) {
    prefixes_.store(holder.request->salt, tokens.first(boundary), *pages,
                    [&](const PrefixCache::Growth& growth) {
                      kept = growth.lasting + growth.window;
                      return true;
                    });
  }
  if (has_reservation) ledger_.release(id, kept);
  for (const CachedPages::Ref ref : holder.away) {
    pages_.release_swapped(ref, holder.is_returning);
  }
  pages_.promise(-holder.promised_pages);
  unpin(holder);
  holders_.erase(found);
  settle();
  ++num_releases_;
}

}  // namespace longgen
