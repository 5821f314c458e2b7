#include "longgen/serve/answer_writer.h"

#include <utility>

namespace longgen {
namespace {

using openai::CompletionLogprobs;
using openai::PlaceLogprobs;

/// Log probabilities as the route has them; null where none were asked for.
OrderedJson logprobs_json(const AnswerPlan& plan, const std::vector<PlaceLogprobs>& places,
                          CompletionLogprobs& completion) {
  if (!plan.logprobs) return nullptr;
  if (plan.route == AnswerPlan::Route::chat) return openai::chat_logprobs(places);
  return completion.next(places);
}

class StreamWriter : public AnswerWriter {
 public:
  StreamWriter(const AnswerPlan& plan, std::shared_ptr<http::Exchange> exchange)
      : plan_(plan),
        exchange_(std::move(exchange)),
        events_(plan.route, plan.head, plan.stream_options),
        choices_(static_cast<size_t>(plan.num_choices())) {}

  void begin() override {
    exchange_->begin_stream();
    has_begun_ = true;
  }

  void begin_choice(int64_t choice, const openai::Usage& so_far) override {
    if (plan_.route == AnswerPlan::Route::chat) exchange_->send(events_.role(choice, so_far));
  }

  void progress(const openai::Progress& progress) override {
    exchange_->send(events_.progress(progress));
  }

  void write(int64_t choice, ReplyPiece piece, const openai::Usage& so_far) override {
    Choice& state = choices_[static_cast<size_t>(choice)];
    std::string events;
    for (const openai::ReplyPart& part : piece.parts) {
      if (part.call) {
        events += events_.tool_call(choice, state.num_calls++, *part.call, so_far);
      } else {
        events += text_event(choice, part.text, std::exchange(piece.places, {}), so_far);
      }
    }
    if (!piece.places.empty()) events += text_event(choice, "", std::move(piece.places), so_far);
    if (!events.empty()) exchange_->send(std::move(events));
  }

  void prompt_logprobs(int64_t, std::vector<PlaceLogprobs>) override {}  // refused in streams

  void finish_choice(int64_t choice, openai::FinishReason reason,
                     const openai::Usage& so_far) override {
    exchange_->send(events_.finish(choice, reason, so_far));
  }

  void end(const openai::Usage& usage) override {
    exchange_->send(events_.usage(usage) + "data: [DONE]\n\n");
    exchange_->end_stream();
  }

  void fail(const openai::ApiError& error, const http::Headers& headers) override {
    if (!has_begun_) return answer_error(*exchange_, error, headers);
    // Without [DONE], so that nobody takes what came for the whole answer.
    exchange_->send("data: " + error.json() + "\n\n");
    exchange_->end_stream();
  }

 private:
  struct Choice {
    CompletionLogprobs logprobs;
    int64_t num_calls = 0;
  };

  std::string text_event(int64_t choice, const std::string& text,
                         const std::vector<PlaceLogprobs>& places, const openai::Usage& so_far) {
    CompletionLogprobs& completion = choices_[static_cast<size_t>(choice)].logprobs;
    OrderedJson logprobs = places.empty() ? nullptr : logprobs_json(plan_, places, completion);
    return events_.text(choice, text, std::move(logprobs), so_far);
  }

  const AnswerPlan& plan_;
  std::shared_ptr<http::Exchange> exchange_;
  openai::EventWriter events_;
  std::vector<Choice> choices_;
  bool has_begun_ = false;
};

class CollectingWriter : public AnswerWriter {
 public:
  CollectingWriter(const AnswerPlan& plan, std::shared_ptr<http::Exchange> exchange)
      : plan_(plan),
        exchange_(std::move(exchange)),
        choices_(static_cast<size_t>(plan.num_choices())) {}

  void begin_choice(int64_t, const openai::Usage&) override {}

  void write(int64_t choice, ReplyPiece piece, const openai::Usage&) override {
    Choice& state = choices_[static_cast<size_t>(choice)];
    for (openai::ReplyPart& part : piece.parts) {
      if (part.call) {
        state.calls.push_back(std::move(*part.call));
      } else {
        state.text += part.text;
      }
    }
    for (PlaceLogprobs& place : piece.places) state.places.push_back(std::move(place));
  }

  void prompt_logprobs(int64_t choice, std::vector<PlaceLogprobs> places) override {
    choices_[static_cast<size_t>(choice)].prompt = std::move(places);
  }

  void finish_choice(int64_t choice, openai::FinishReason reason, const openai::Usage&) override {
    choices_[static_cast<size_t>(choice)].finish = reason;
  }

  void end(const openai::Usage& usage) override {
    std::string body = plan_.route == AnswerPlan::Route::chat ? chat(usage) : completion(usage);
    exchange_->answer(200, kJsonType, std::move(body));
  }

  void fail(const openai::ApiError& error, const http::Headers& headers) override {
    answer_error(*exchange_, error, headers);
  }

 private:
  struct Choice {
    std::string text = {};
    std::vector<openai::ToolCall> calls = {};
    openai::FinishReason finish = openai::FinishReason::stop;
    std::vector<PlaceLogprobs> places = {};
    std::vector<PlaceLogprobs> prompt = {};
  };

  OrderedJson take_logprobs(Choice& choice) {
    CompletionLogprobs completion;
    OrderedJson json = logprobs_json(plan_, choice.places, completion);
    choice.places = {};
    return json;
  }
  /// As JSON they take many times their memory: only while the answer is written.
  static OrderedJson take_prompt_logprobs(Choice& choice) {
    if (choice.prompt.empty()) return nullptr;
    return openai::prompt_logprobs(std::exchange(choice.prompt, {}));
  }

  std::string chat(const openai::Usage& usage) {
    std::vector<openai::ChatChoice> choices;
    for (Choice& choice : choices_) {
      OrderedJson logprobs = take_logprobs(choice);
      choices.push_back(
          {std::move(choice.text), std::move(choice.calls), choice.finish, std::move(logprobs)});
    }
    return openai::chat_completion(plan_.head, choices, usage, take_prompt_logprobs(choices_[0]));
  }

  std::string completion(const openai::Usage& usage) {
    std::vector<openai::CompletionChoice> choices;
    for (Choice& choice : choices_) {
      OrderedJson logprobs = take_logprobs(choice);
      choices.push_back({std::move(choice.text), choice.finish, std::move(logprobs),
                         take_prompt_logprobs(choice)});
    }
    return openai::text_completion(plan_.head, choices, usage);
  }

  const AnswerPlan& plan_;
  std::shared_ptr<http::Exchange> exchange_;
  std::vector<Choice> choices_;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_answer_writer(const AnswerPlan& plan,
                                                 std::shared_ptr<http::Exchange> exchange) {
  if (plan.is_stream) return std::make_unique<StreamWriter>(plan, std::move(exchange));
  return std::make_unique<CollectingWriter>(plan, std::move(exchange));
}

void answer_error(http::Exchange& exchange, const openai::ApiError& error,
                  const http::Headers& headers) {
  exchange.answer(error.status(), kJsonType, error.json(), headers);
}

}  // namespace longgen
