#include "longgen/serve/schedule/request_queue.h"

namespace longgen {

void RequestQueue::push(const Item& item, double due) {
  const Place place = {item.request->priority, due, item.request->id};
  items_.emplace(place, item);
  places_.emplace(place.request, place);
}

bool RequestQueue::remove(RequestId request) {
  const auto found = places_.find(request);
  if (found == places_.end()) return false;
  items_.erase(found->second);
  places_.erase(found);
  return true;
}

double RequestQueue::seconds_before(const Place& place) const {
  double seconds = 0;
  for (auto item = items_.begin(); item != items_.end() && item->first < place; ++item) {
    seconds += item->second.prefill_seconds;
  }
  return seconds;
}

double RequestQueue::seconds_until(RequestId request) const {
  const Place& place = places_.at(request);
  return seconds_before(place) + items_.at(place).prefill_seconds;
}

std::vector<RequestQueue::Item*> RequestQueue::items() {
  std::vector<Item*> items;
  for (auto& entry : items_) items.push_back(&entry.second);
  return items;
}

std::vector<RequestQueue::Outlook> RequestQueue::first(int64_t count) const {
  std::vector<Outlook> outlooks;
  double seconds = 0;
  for (const auto& [place, item] : items_) {
    if (std::ssize(outlooks) == count) break;
    seconds += item.prefill_seconds;
    outlooks.push_back(
        {place.request, item.request->prompt_tokens(), item.known.num_tokens, seconds});
  }
  return outlooks;
}

}  // namespace longgen
