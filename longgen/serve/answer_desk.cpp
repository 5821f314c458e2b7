#include "longgen/serve/answer_desk.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "longgen/base/log.h"

namespace longgen {

using openai::ApiError;

AnswerDesk::AnswerDesk(const ServedModel& model, Tell tell, Watch watch)
    : model_(model), tell_(std::move(tell)), watch_(std::move(watch)) {}

void AnswerDesk::begin(AnswerPlan plan, std::shared_ptr<http::Exchange> exchange) {
  if (exchange->is_gone()) return;
  const AnswerId id = next_answer_++;
  Open open{std::make_unique<Answer>(model_, std::move(plan), exchange), {}};
  for (int64_t i = 0; i < open.answer->plan().num_choices(); ++i) open.unsent.push_back(i);
  const Place place = open_.emplace(id, std::move(open)).first;
  guard(place, [&] {
    exchange->watch(watch_(id));
    submit_more(place->second, id);
  });
}

/// Whatever goes wrong with an answer ends it, and no other one.
template <typename Action>
void AnswerDesk::guard(Place place, const Action& action) {
  try {
    action();
  } catch (const std::exception& error) {
    log_warning(std::string("an answer failed: ") + error.what());
    fail(place, ApiError(500, "the server failed to write this answer."));
  }
}

void AnswerDesk::submit_more(Open& open, AnswerId id) {
  while (!open.unsent.empty() && open.num_waiting < kMaxWaitingOfAnswer && !open.is_paused) {
    const int64_t choice = open.unsent.front();
    open.unsent.pop_front();
    const RequestId request = next_request_++;
    open.choices.emplace(request, choice);
    answer_of_.emplace(request, id);
    ++open.num_waiting;
    tell_(open.answer->plan().submit(choice, request));
  }
}

void AnswerDesk::take(const EngineEvent& event) {
  const auto answer = answer_of_.find(event.request);
  if (answer == answer_of_.end()) return;
  const Place place = open_.find(answer->second);
  guard(place, [&] { take(place, place->second.choices.at(event.request), event); });
}

void AnswerDesk::take(Place place, int64_t choice, const EngineEvent& event) {
  Open& open = place->second;
  Answer& answer = *open.answer;
  const RequestId request = event.request;
  if (const auto* began = std::get_if<RequestBegan>(&event.what)) {
    --open.num_waiting;
    answer.begin(choice, *began);
    submit_more(open, place->first);
  } else if (const auto* progress = std::get_if<RequestProgress>(&event.what)) {
    answer.progress(*progress);
  } else if (const auto* logprobs = std::get_if<PromptLogprobs>(&event.what)) {
    answer.take(choice, *logprobs);
  } else if (const auto* drawn = std::get_if<TokenDrawn>(&event.what)) {
    if (answer.take(choice, *drawn)) {
      tell_(Cancel{request, /*keeps_prefix=*/true});
      return end_choice(place, request, choice, RequestEnd::stop_token);
    }
  } else if (const auto* ended = std::get_if<RequestEnded>(&event.what)) {
    return end_choice(place, request, choice, ended->end);
  } else if (const auto* rejected = std::get_if<RequestRejected>(&event.what)) {
    return reject(place, request, choice, *rejected);
  } else if (const auto* failed = std::get_if<RequestFailed>(&event.what)) {
    forget(open, request);
    return fail(place, ApiError(500, failed->message));
  }
}

void AnswerDesk::end_choice(Place place, RequestId request, int64_t choice, RequestEnd end) {
  Open& open = place->second;
  forget(open, request);
  if (end == RequestEnd::cancelled) {  // not by us, or the request would not be known any more
    return fail(place, ApiError(503, "the server ends, and so does this answer."));
  }
  open.answer->end(choice, end);
  submit_more(open, place->first);
  if (!open.choices.empty() || !open.unsent.empty()) return;
  open.answer->end();
  open_.erase(place);
}

void AnswerDesk::reject(Place place, RequestId request, int64_t choice,
                        const RequestRejected& rejected) {
  Open& open = place->second;
  forget(open, request);
  --open.num_waiting;
  if (!open.choices.empty()) {  // it comes back when another one of this answer begins or ends
    open.unsent.push_front(choice);
    return;
  }
  const auto seconds = static_cast<int64_t>(std::ceil(std::max(rejected.retry_after_seconds, 1.0)));
  fail(place,
       ApiError(429,
                "too many requests wait. Come back in " + std::to_string(seconds) + " seconds."),
       {{"Retry-After", std::to_string(seconds)}});
}

void AnswerDesk::forget(Open& open, RequestId request) {
  open.choices.erase(request);
  answer_of_.erase(request);
}

void AnswerDesk::cancel_requests(Open& open) {
  for (const auto& entry : open.choices) {
    tell_(Cancel{entry.first});
    answer_of_.erase(entry.first);
  }
  open.choices.clear();
}

void AnswerDesk::fail(Place place, const ApiError& error, const http::Headers& headers) {
  cancel_requests(place->second);
  place->second.answer->fail(error, headers);
  open_.erase(place);
}

void AnswerDesk::full(AnswerId answer) {
  const Place place = open_.find(answer);
  if (place == open_.end()) return;
  place->second.is_paused = true;
  for (const auto& entry : place->second.choices) tell_(Pause{entry.first});
}

void AnswerDesk::drained(AnswerId answer) {
  const Place place = open_.find(answer);
  if (place == open_.end() || !place->second.is_paused) return;
  Open& open = place->second;
  open.is_paused = false;
  for (const auto& entry : open.choices) tell_(Resume{entry.first});
  submit_more(open, answer);
}

void AnswerDesk::gone(AnswerId answer) {
  const Place place = open_.find(answer);
  if (place == open_.end()) return;
  cancel_requests(place->second);
  open_.erase(place);
}

bool AnswerDesk::begin_late_streams(std::chrono::steady_clock::time_point now) {
  bool others_wait = false;
  for (auto& entry : open_) {
    Answer& answer = *entry.second.answer;
    if (!answer.plan().is_stream || answer.has_begun()) continue;
    if (now - answer.plan().received >= kSilenceOfStreams) {
      answer.begin();
    } else {
      others_wait = true;
    }
  }
  return others_wait;
}

void AnswerDesk::fail_all(const ApiError& error) {
  while (!open_.empty()) fail(open_.begin(), error);
}

}  // namespace longgen
