// serve/schedule/cache_keeper.h: which pages a request gets, keeps, and leaves for others.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "longgen/kv_cache/page_demand.h"
#include "longgen/serve/schedule/page_ledger.h"
#include "longgen/serve/schedule/prefix_cache.h"

namespace longgen {

/// What a server was asked for, as far as pages and time are concerned.
struct Request {
  RequestId id;
  std::vector<int32_t> prompt;  ///< at least one token
  int64_t max_new_tokens = 1;   ///< at least 1
  int64_t priority = 0;         ///< of two requests the one with the lower number is first
  std::string salt = {};        ///< requests with the same one share prefixes
  /// Not so where the logits of all tokens of the prompt are wanted.
  bool reads_prefixes = true;

  int64_t prompt_tokens() const { return static_cast<int64_t>(prompt.size()); }
  /// The token that is drawn last is not put into the cache.
  int64_t end_tokens() const { return prompt_tokens() + max_new_tokens - 1; }
};

struct CacheKeeperOptions {
  int64_t capacity_pages = 0;
  int64_t max_chunk = 8192;  ///< of a prefill, in tokens; a multiple of Pattern::kBlock
  /// Within a prompt there is a checkpoint at each multiple of it, where there is room for its
  /// window pages; a multiple of Pattern::kBlock.
  int64_t checkpoint_tokens = 8192;
  bool keeps_prefixes = true;
};

/// Joins the ledger and the prefix cache. A request is admitted when the most pages that it will
/// hold can be reserved, for which prefixes that nobody uses are evicted. Not thread-safe.
class CacheKeeper {
 public:
  /// Throws Error on options out of range. `owners` and `key` as in PrefixCache.
  CacheKeeper(const KvLayout& layout, const CacheKeeperOptions& options, PageOwners& owners,
              uint64_t key);

  /// Could the request run if there was no other one?
  bool can_ever_fit(const Request& request) const;
  /// How many of its tokens need not be computed, as things are now.
  int64_t known_tokens(const Request& request) const;
  /// How many tokens of `later` need not be computed once the prompt of `earlier` has been, if
  /// there is room for its checkpoints.
  int64_t tokens_left_by(const Request& earlier, const Request& later) const;

  struct Admission {
    int64_t hit_tokens;  ///< that stand in `pages`; the sequence begins behind them
    int64_t max_chunk;   ///< that the reservation is for
    std::vector<HeldPage> pages;
  };
  /// Reserves pages for a request, which must stay where it is until end(). Nothing where too few
  /// can be had now.
  std::optional<Admission> admit(const Request& request);
  /// Says that tokens [begin, end) of the prompt have passed through the layers; pages that died
  /// with them must not be released yet.
  void passed(RequestId request, int64_t begin, int64_t end, const BlockPages& pages);
  /// Ends a request. `tokens` are all that are in its pages, which are kept as a prefix; none, or
  /// no pages: nothing more is kept. The caller releases the request's own pages.
  void end(RequestId request, std::span<const int32_t> tokens, const BlockPages* pages);

  /// Grows whenever a request lets pages go: who found too few may ask again.
  int64_t num_releases() const { return num_releases_; }
  const PageLedger& ledger() const { return ledger_; }
  const PrefixCache& prefixes() const { return prefixes_; }
  const PageDemand& demand() const { return demand_; }

 private:
  struct Holder {
    const Request* request;
    int64_t hit_tokens = 0;
    PrefixCache::Node* hit = nullptr;     // pinned, as is
    PrefixCache::Node* stored = nullptr;  // the last block that it has given to the cache
    int64_t branch_tokens = 0;            // where it left the tree, if that is no checkpoint yet
    int64_t given_pages = 0;              // lasting ones that were its own
  };
  struct Place {
    int64_t max_chunk, pages;
  };
  std::optional<Place> place(const Request& request, int64_t hit_tokens) const;
  bool make_room(int64_t pages);
  bool evict();
  void settle();
  std::vector<int64_t> checkpoints(const Holder& holder, int64_t begin, int64_t end) const;
  bool may_evict_for(const Holder& holder, int64_t boundary) const;
  void store(Holder& holder, int64_t boundary, const BlockPages& pages);

  CacheKeeperOptions options_;
  PageDemand demand_;
  PageLedger ledger_;
  PrefixCache prefixes_;
  std::map<RequestId, Holder> holders_;
  int64_t num_releases_ = 0;
};

}  // namespace longgen
