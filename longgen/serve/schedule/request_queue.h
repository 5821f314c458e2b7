// serve/schedule/request_queue.h: requests that wait for their prefill.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "longgen/serve/schedule/cache_keeper.h"

namespace longgen {

/// Orders requests by priority, then by arrival plus predicted seconds of prefill: a short prompt
/// passes a long one that came before it, but only as long as that one has not waited for its own
/// length. No order among two requests ever changes, so nobody starves.
class RequestQueue {
 public:
  struct Item {
    const Request* request;
    double prefill_seconds;
    int64_t known_tokens;  ///< need not be computed, as things were when it came
    // For requests that found too few pages:
    bool is_blocked = false;
    double blocked_since = 0;
    int64_t num_releases = 0;  ///< CacheKeeper::num_releases() when it last asked
  };
  struct Place {
    int64_t priority;
    double due;
    RequestId request;
    bool operator<(const Place& other) const {
      return std::tie(priority, due, request) < std::tie(other.priority, other.due, other.request);
    }
  };
  static Place place(const Item& item, double arrival) {
    return {item.request->priority, arrival + item.prefill_seconds, item.request->id};
  }

  void push(const Item& item, double arrival);
  /// False where the request does not wait.
  bool remove(RequestId request);
  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  /// The predicted seconds of those that stand before a place.
  double seconds_before(const Place& place) const;
  /// The predicted seconds until a request that waits has its prompt.
  double seconds_until(RequestId request) const;
  bool holds(RequestId request) const { return places_.find(request) != places_.end(); }
  /// The first ones, at most `count`.
  std::vector<Item*> first(int64_t count);

 private:
  std::map<Place, Item> items_;
  std::map<RequestId, Place> places_;
};

}  // namespace longgen
