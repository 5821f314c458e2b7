// serve/schedule/request_queue.h: requests that wait for their prefill.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "longgen/serve/schedule/cache_keeper.h"

namespace longgen {

/// Orders requests by priority, then by when their prompts would be done if they were alone: a
/// short one passes a long one that came before it, but only as long as that one has not waited for
/// its own length. The order of two requests never changes, so nobody starves.
class RequestQueue {
 public:
  struct Item {
    const Request* request = nullptr;
    double prefill_seconds = 0;  ///< once those before it have left their prefixes
    KnownPrefix known = {};      ///< as things were when it came
    /// The request that will leave most of the prompt in the prefix cache, and how much.
    struct Expected {
      RequestId from;
      int64_t num_tokens;
    };
    std::optional<Expected> expected = {};
    // For requests that found too few pages:
    bool is_blocked = false;
    double blocked_since = 0;
    int64_t num_releases = 0;  ///< CacheKeeper::num_releases() when it last asked
  };
  /// A request's place in the order.
  struct Place {
    int64_t priority;
    double due;  ///< seconds
    RequestId request;
    bool operator<(const Place& other) const {
      return std::tie(priority, due, request) < std::tie(other.priority, other.due, other.request);
    }
  };

  void push(const Item& item, double due);
  /// False where the request does not wait.
  bool remove(RequestId request);
  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  /// The predicted seconds of those that stand before a place.
  double seconds_before(const Place& place) const;
  /// The predicted seconds until a request that waits has its prompt.
  double seconds_until(RequestId request) const;
  bool holds(RequestId request) const { return places_.find(request) != places_.end(); }
  double due(RequestId request) const { return places_.at(request).due; }
  /// All of them in their order.
  std::vector<Item*> items();
  /// What may be said of one that waits.
  struct Outlook {
    RequestId request;
    int64_t prompt_tokens, known_tokens;  ///< known: need not be computed
    double seconds;                       ///< as seconds_until()
  };
  /// The first ones in their order, at most as many.
  std::vector<Outlook> first(int64_t count) const;

 private:
  std::map<Place, Item> items_;
  std::map<RequestId, Place> places_;
};

}  // namespace longgen
