// serve/schedule/cache_keeper.h: which pages a request gets, keeps, and leaves for others.
#pragma once

#include <cstdint>
#include <functional>
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
  int64_t host_pages = 0;  ///< that the host keeps of prefixes that were evicted
  /// At least 1. With more, pages are reserved for that part of a reply alone, and for more of it
  /// when that is there; who finds none then may have to wait on the host. Needs host_pages.
  double overcommit = 1;
};

/// How much of a prompt need not be computed.
struct KnownPrefix {
  int64_t num_tokens = 0;
  int64_t pages_to_load = 0;  ///< from the host
};
/// Predicted seconds until the rest of a prompt is computed. Of two prefixes the one is taken with
/// which that is sooner.
using PrefixSeconds = std::function<double(const Request&, const KnownPrefix&)>;

/// Joins the ledger and the prefix cache. A request is admitted when the most pages that it will
/// hold can be reserved, for which prefixes that nobody uses are evicted.
///
/// With overcommit the most that it is expected to hold is reserved, and pages of the host are
/// promised to every request but one that was admitted when there was no other: so everybody else
/// can be sent there, and that one can always go on. Not thread-safe.
class CacheKeeper {
 public:
  /// Throws Error on options out of range. `owners` and `key` as in PrefixCache.
  CacheKeeper(const KvLayout& layout, const CacheKeeperOptions& options, PageOwners& owners,
              uint64_t key);

  /// Could the request run if there was no other one?
  bool can_ever_fit(const Request& request) const;
  /// What need not be computed, as things are now.
  KnownPrefix known(const Request& request, const PrefixSeconds& seconds = longest_first) const;
  /// Prefers the longer prefix, wherever it is.
  static double longest_first(const Request&, const KnownPrefix& prefix) {
    return static_cast<double>(-prefix.num_tokens);
  }
  /// How many tokens of `later` need not be computed once the prompt of `earlier` has been, if
  /// there is room for its checkpoints.
  int64_t tokens_left_by(const Request& earlier, const Request& later) const;

  struct Admission {
    int64_t hit_tokens = 0;  ///< that stand in `pages`; the sequence begins behind them
    int64_t max_chunk = 0;   ///< that the reservation is for
    std::vector<HeldPage> pages;
    /// As many copies to the device (num_arrived()) must have been made before.
    int64_t arrives_at = 0;
    int64_t host_tokens = 0;  ///< of the hit, those that pages on the host were needed for
  };
  /// Reserves pages for a request, which must stay where it is until end(). Nothing where too few
  /// can be had now; some may be on their way to the host to make room for it.
  std::optional<Admission> admit(const Request& request,
                                 const PrefixSeconds& seconds = longest_first);
  /// Says that tokens [begin, end) of the prompt have passed through the layers; pages that died
  /// with them must not be released yet.
  void passed(RequestId request, int64_t begin, int64_t end, const BlockPages& pages);
  bool overcommits() const { return options_.overcommit > 1; }
  /// Makes sure that pages are reserved for a request's first num_tokens tokens, of which all but
  /// the last are there. False where too few can be had now.
  bool extend(RequestId request, int64_t num_tokens);
  /// May its pages go to the host?
  bool can_swap_out(RequestId request) const;
  /// Takes over all pages of a request, which has num_tokens tokens in them and lets them go. They
  /// go to the host, and its reservation ends.
  void swap_out(RequestId request, int64_t num_tokens, const BlockPages& pages);
  /// Reserves pages for it again, as for a new one; those of the admission are its own when they
  /// have arrived and it has become an owner of each, which swapped_in() says.
  std::optional<Admission> swap_in(RequestId request);
  void swapped_in(RequestId request);
  /// Ends a request. `tokens` are all that are in its pages, which are kept as a prefix; none, or
  /// no pages: nothing more is kept. The caller releases the request's own pages.
  void end(RequestId request, std::span<const int32_t> tokens, const BlockPages* pages);

  /// Copies that are to be made, at most so many; none while those begun before are under way.
  PageCopies begin_copies(int64_t most) { return pages_.begin_copies(most); }
  /// Says that they have been made.
  void end_copies();
  int64_t num_arrived() const { return pages_.num_arrived(); }

  /// Grows whenever a request lets pages go: who found too few may ask again.
  int64_t num_releases() const { return num_releases_; }
  const PageLedger& ledger() const { return ledger_; }
  const PrefixCache& prefixes() const { return prefixes_; }
  const CachedPages& pages() const { return pages_; }
  const PageDemand& demand() const { return demand_; }

 private:
  struct Holder {
    const Request* request;
    int64_t hit_tokens = 0;
    PrefixCache::Node* hit = nullptr;     // pinned, as is
    PrefixCache::Node* stored = nullptr;  // the last block that it has given to the cache
    int64_t branch_tokens = 0;            // where it left the tree, if that is no checkpoint yet
    int64_t given_pages = 0;              // lasting ones that were its own
    int64_t reserved_tokens = 0;          // for which pages are reserved
    int64_t most_pages = 0;               // that may come to be reserved
    int64_t promised_pages = 0;           // of the host
    CachedPages::Refs away;               // its pages while it has none
    int64_t away_tokens = 0;
    bool is_returning = false;

    bool is_here() const { return away.empty(); }
  };
  struct Place {
    int64_t max_chunk, pages;
    int64_t most_pages;  // that may come to be reserved
  };
  /// A block that stays while its pages arrive.
  struct Arrival {
    PrefixCache::Node* node;
    int64_t at;  // num_arrived()
  };
  std::optional<Place> place(const Request& request, int64_t hit_tokens) const;
  std::optional<Place> place_alone(const RemainingTokens& rest) const;
  int64_t expected_tokens(const Request& request, int64_t num_tokens) const;
  int64_t pages_to_promise(const Request& request) const;
  void unpin(Holder& holder);
  PrefixCache::Match match(const Request& request, const PrefixSeconds& seconds) const;
  bool bring(const PrefixCache::Match& match, RequestId request, int64_t pages);
  bool make_room(int64_t pages);
  bool evict();
  void make_room_ahead(const Request& request);
  void settle();
  std::vector<int64_t> checkpoints(const Holder& holder, int64_t begin, int64_t end) const;
  bool may_evict_for(const Holder& holder, int64_t boundary) const;
  void store(Holder& holder, int64_t boundary, const BlockPages& pages);

  CacheKeeperOptions options_;
  PageDemand demand_;
  PageLedger ledger_;
  CachedPages pages_;
  PrefixCache prefixes_;
  std::map<RequestId, Holder> holders_;
  std::vector<Arrival> arrivals_;
  int64_t num_releases_ = 0;
  int64_t no_load_at_ = -1;  // of releases: the pool had no memory for pages of the host
};

}  // namespace longgen
