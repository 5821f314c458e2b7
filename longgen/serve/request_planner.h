// serve/request_planner.h: from the body of a request to what is to be answered.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/serve/answer_plan.h"
#include "longgen/serve/openai/request_reader.h"
#include "longgen/serve/served_model.h"

namespace longgen {

/// Reads bodies, renders the chat template, tokenizes, and checks what only a certain model can
/// tell: its name, its context, its tools, the room for pages. All methods throw ApiError saying
/// what is wrong with the request. Several threads may use one.
class RequestPlanner {
 public:
  /// Could the request run if there was no other one? May be called from several threads.
  using Fits = std::function<bool(const Request&)>;
  /// The model must outlive it.
  RequestPlanner(const ServedModel& model, Fits fits);

  /// `key_name` is that of the API key: its requests share prefixes, unless they say cache_salt.
  AnswerPlan chat(std::string_view body, const std::string& key_name) const;
  AnswerPlan completion(std::string_view body, const std::string& key_name) const;
  /// The answers of /tokenize and /detokenize.
  std::string tokenize(std::string_view body) const;
  std::string detokenize(std::string_view body) const;

 private:
  AnswerPlan begin(const openai::GenerationRequest& request, const char* id_prefix,
                   const std::string& key_name) const;
  void check_model(const std::optional<std::string>& name) const;
  std::vector<int32_t> render(const ChatRequest& request) const;
  /// A text that is the name of a special token and nothing else gives this token where nothing is
  /// put around it: lm-eval asks so for the id of the token that ends texts.
  std::vector<int32_t> tokens_of(const openai::TokenizeRequest& request) const;
  std::vector<int32_t> encode(const std::string& text, bool add_special_tokens,
                              const std::string& field) const;
  void check_text(const std::string& text, const std::string& field) const;
  PlannedPrompt read_prompt(const openai::Prompt& prompt, const openai::CompletionRequest& request,
                            const std::string& place) const;
  void check_tokens(const std::vector<int32_t>& tokens, const std::string& field) const;
  void check_ends(const openai::GenerationRequest& request, const AnswerPlan& plan) const;
  void check_length(const AnswerPlan& plan, const std::string& field) const;
  static void check_prompt_logprobs(const AnswerPlan& plan);
  /// The most tokens that may follow a prompt.
  int64_t room_for_reply(const AnswerPlan& plan) const;
  PlannedTools plan_tools(const openai::ChatCompletionRequest& request) const;

  const ServedModel& model_;
  Fits fits_;
  openai::RequestReader reader_;
  uint64_t key_;  // of ids and of seeds that nobody chose
  mutable std::atomic<uint64_t> num_plans_ = 0;
};

}  // namespace longgen
