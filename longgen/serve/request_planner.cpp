#include "longgen/serve/request_planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/random.h"
#include "longgen/serve/answer_grammar.h"
#include "longgen/serve/openai/api_error.h"
#include "longgen/serve/openai/input.h"
#include "longgen/serve/random_key.h"

namespace longgen {
namespace {

using openai::ApiError;

// 20 best ones at each of 131,072 tokens; as JSON they take some hundred bytes each.
constexpr int64_t kMaxPromptLogprobs = int64_t{131072} * 21;

SamplingOptions sampling_of(const openai::GenerationRequest& request, uint64_t seed) {
  SamplingOptions sampling{.repetition_penalty = request.repetition_penalty,
                           .frequency_penalty = request.frequency_penalty,
                           .presence_penalty = request.presence_penalty,
                           .temperature = request.temperature,
                           .top_k = std::max<int64_t>(request.top_k, 0),
                           .top_p = request.top_p,
                           .min_p = request.min_p,
                           .seed = request.seed ? static_cast<uint64_t>(*request.seed) : seed};
  for (const openai::LogitBias& each : request.logit_bias) {
    sampling.logit_bias.push_back({each.token, each.bias});
  }
  return sampling;
}

/// Texts and names cannot be mixed up: a client's own salt never meets another one's key.
std::string salt_of(const openai::GenerationRequest& request, const std::string& key_name) {
  return request.cache_salt ? "salt " + *request.cache_salt : "key " + key_name;
}

/// A message without the folder of a file that it names, which is no business of the client's.
std::string without_folder(std::string message, const std::string& file) {
  const std::string folder = file.substr(0, file.rfind('/') + 1);
  for (size_t at = 0; !folder.empty() && (at = message.find(folder, at)) != std::string::npos;) {
    message.erase(at, folder.size());
  }
  return message;
}

/// Adds the model's own stop tokens to those that the client names.
void set_stops(const openai::GenerationRequest& request, const std::vector<int32_t>& own,
               AnswerPlan& plan) {
  std::vector<int32_t>& stops = plan.draw.stop_tokens;
  if (!request.ignore_eos) stops.insert(stops.end(), own.begin(), own.end());
  plan.stop.tokens = stops;
}

}  // namespace

RequestPlanner::RequestPlanner(const ServedModel& model, Fits fits)
    : model_(model),
      fits_(std::move(fits)),
      reader_({.vocab_size = model.vocab_size}),
      key_(random_key()) {}

void RequestPlanner::check_model(const std::optional<std::string>& name) const {
  if (name && *name != model_.name) throw openai::model_not_found(*name);
}

AnswerPlan RequestPlanner::begin(const openai::GenerationRequest& request, const char* id_prefix,
                                 const std::string& key_name) const {
  check_model(request.model);
  const uint64_t number = num_plans_++;
  AnswerPlan plan;
  plan.received = std::chrono::steady_clock::now();
  plan.head = {fmt::format("{}{:016x}", id_prefix, mix_pair(key_, 2 * number)), std::time(nullptr),
               model_.name};
  plan.choices_per_prompt = request.n;
  plan.draw.sampling = sampling_of(request, mix_pair(key_, 2 * number + 1));
  plan.draw.stop_tokens = request.stop_token_ids;
  plan.draw.min_tokens = request.min_tokens;
  plan.draw.tells_progress = request.return_progress;
  plan.stop = {.strings = request.stop, .min_tokens = request.min_tokens};
  plan.priority = request.priority;
  plan.salt = salt_of(request, key_name);
  plan.prompt_logprobs = request.prompt_logprobs;
  plan.is_stream = request.stream;
  plan.stream_options = request.stream_options;
  plan.grammar = format_grammar(request.response_format);
  return plan;
}

/// A reply of a certain form ends where the form is complete, and there alone.
void RequestPlanner::check_ends(const openai::GenerationRequest& request,
                                const AnswerPlan& plan) const {
  if (plan.grammar.empty()) return;
  if (!model_.reads_texts) {
    openai::refuse_at("response_format",
                      "this server has a model with random weights and no tokenizer: expected "
                      "{\"type\": \"text\"}.");
  }
  if (request.min_tokens > 0) {
    openai::refuse_at("min_tokens", "expected 0, because the answer ends where its form does.");
  }
  if (request.ignore_eos) {
    openai::refuse_at("ignore_eos", "expected false, because the answer ends where its form does.");
  }
  for (size_t i = 0; i < request.stop_token_ids.size(); ++i) {
    if (model_.tokenizer.is_special(request.stop_token_ids[i])) continue;
    openai::refuse_at(detail::concat("stop_token_ids[", i, "]"),
                      "expected a special token, because the form of the answer is given.");
  }
  if (plan.draw.stop_tokens.empty()) {
    openai::refuse_at("response_format",
                      "this model has no token that ends an answer. Name one in stop_token_ids.");
  }
}

std::vector<int32_t> RequestPlanner::render(const ChatRequest& request) const {
  if (!model_.chat_template) {
    openai::refuse_at("messages",
                      "this model has no chat template, because it was not made for chats. Use "
                      "/v1/completions.");
  }
  std::vector<int32_t> tokens;
  try {
    const RenderedChat chat = model_.chat_template->render(request);
    check_text(chat.text, "messages");
    tokens = chat.encode(model_.tokenizer);
  } catch (const ApiError&) {
    throw;
  } catch (const Error& error) {
    throw ApiError(400,
                   "messages: the model's chat template does not take them. " +
                       without_folder(error.what(), model_.chat_template->source()),
                   "messages", "invalid_value");
  }
  check_tokens(tokens, "messages");
  return tokens;
}

/// Dividing a text into tokens takes time and twenty times its memory.
void RequestPlanner::check_text(const std::string& text, const std::string& field) const {
  if (std::ssize(text) <= model_.max_text_bytes) return;
  openai::refuse_at(field,
                    detail::concat("this model's maximum context length is ", model_.context,
                                   " tokens, which hold at most ", model_.max_text_bytes,
                                   " bytes of text, found ", text.size(), "."),
                    "context_length_exceeded");
}

std::vector<int32_t> RequestPlanner::encode(const std::string& text, bool add_special_tokens,
                                            const std::string& field) const {
  if (!model_.reads_texts) {
    openai::refuse_at(field,
                      "this server has a model with random weights and no tokenizer: expected a "
                      "list of token ids, found a text.");
  }
  check_text(text, field);
  // Special tokens spelled out in a text are ordinary text.
  return model_.tokenizer.encode(
      text, {.add_special_tokens = add_special_tokens, .parse_special = false});
}

void RequestPlanner::check_tokens(const std::vector<int32_t>& tokens,
                                  const std::string& field) const {
  if (tokens.empty()) openai::refuse_at(field, "expected at least one token, found none.");
  const auto unknown = std::find_if(tokens.begin(), tokens.end(),
                                    [this](int32_t id) { return id >= model_.vocab_size; });
  if (unknown == tokens.end()) return;
  openai::refuse_at(field, detail::concat("the tokenizer makes token ", *unknown,
                                          " of it, which the model's weights do not have: they "
                                          "have 0 to ",
                                          model_.vocab_size - 1, "."));
}

PlannedPrompt RequestPlanner::read_prompt(const openai::Prompt& prompt,
                                          const openai::CompletionRequest& request,
                                          const std::string& place) const {
  PlannedPrompt planned;
  if (const auto* text = std::get_if<std::string>(&prompt)) {
    planned.tokens = encode(*text, request.add_special_tokens, place);
    if (request.echo) planned.echo = *text;
  } else {
    planned.tokens = std::get<std::vector<int32_t>>(prompt);
    if (request.echo) {
      planned.echo = model_.tokenizer.decode(planned.tokens, /*skip_special=*/true);
    }
  }
  check_tokens(planned.tokens, place);
  return planned;
}

int64_t RequestPlanner::room_for_reply(const AnswerPlan& plan) const {
  Request request = plan.submit(0, 0).request;
  const auto fits = [&](int64_t num_tokens) {
    request.max_new_tokens = num_tokens;
    return fits_(request);
  };
  int64_t most = std::max<int64_t>(model_.context - request.prompt_tokens(), 1);
  if (fits(most)) return most;
  // A longer reply never takes fewer pages.
  int64_t least = 0;
  while (most - least > 1) {
    const int64_t middle = least + (most - least) / 2;
    (fits(middle) ? least : most) = middle;
  }
  return std::max<int64_t>(least, 1);
}

void RequestPlanner::check_length(const AnswerPlan& plan, const std::string& field) const {
  for (size_t i = 0; i < plan.prompts.size(); ++i) {
    const auto prompt_tokens = static_cast<int64_t>(plan.prompts[i].tokens.size());
    if (prompt_tokens + plan.max_tokens > model_.context) {
      openai::refuse_at(
          field,
          detail::concat("this model's maximum context length is ", model_.context,
                         " tokens; the request asks for ", prompt_tokens + plan.max_tokens, ": ",
                         prompt_tokens, " in ", field, " and ", plan.max_tokens,
                         " in the completion. Shorten one of them."),
          "context_length_exceeded");
    }
    const auto choice = static_cast<int64_t>(i) * plan.choices_per_prompt;
    if (!fits_(plan.submit(choice, 0).request)) {
      openai::refuse_at(
          field,
          detail::concat("the pages of ", prompt_tokens, " tokens in ", field, " and ",
                         plan.max_tokens,
                         " in the completion are more than the KV cache of this server has. "
                         "Shorten one of them, or start the server with a larger --max-kv."),
          "kv_cache_exceeded");
    }
  }
}

void RequestPlanner::check_prompt_logprobs(const AnswerPlan& plan) {
  int64_t count = 0;
  for (int64_t choice = 0; choice < plan.num_choices(); ++choice) {
    if (!plan.has_prompt_logprobs(choice)) continue;
    count += std::ssize(plan.prompt_of(choice).tokens) * (1 + plan.num_prompt_logprobs());
  }
  if (count <= kMaxPromptLogprobs) return;
  openai::refuse_at(plan.prompt_logprobs ? "prompt_logprobs" : "logprobs",
                    detail::concat("expected at most ", kMaxPromptLogprobs,
                                   " log probabilities of the prompts of all choices, found ",
                                   count, ". Ask for fewer choices or best tokens."));
}

PlannedTools RequestPlanner::plan_tools(const openai::ChatCompletionRequest& request) const {
  if (!model_.tool_format) {
    openai::refuse_at("tools",
                      "the model's chat template writes calls of functions in no form that this "
                      "server reads (Hermes, Llama 3).",
                      "unsupported_parameter");
  }
  return {*model_.tool_format, request.callable()};
}

AnswerPlan RequestPlanner::chat(std::string_view body, const std::string& key_name) const {
  const openai::ChatCompletionRequest request = reader_.chat(body);
  AnswerPlan plan = begin(request, "chatcmpl-", key_name);
  const ChatRequest chat = request.template_request();
  if (!chat.tools.is_null()) {
    plan.tools = plan_tools(request);
    if (!plan.grammar.empty()) {
      openai::refuse_at("response_format",
                        "expected {\"type\": \"text\"} with functions that may be called.");
    }
    plan.grammar = call_grammar(request, plan.tools->format);
  }
  plan.prompts.push_back({render(chat), ""});
  set_stops(request, model_.chat_stops, plan);
  check_ends(request, plan);
  if (request.logprobs) plan.logprobs = request.top_logprobs.value_or(0);
  plan.draw.num_logprobs = plan.logprobs;
  if (const auto limit = request.token_limit()) {
    plan.max_tokens = *limit;
  } else {
    const int64_t room = room_for_reply(plan);
    plan.max_tokens = std::min(room, model_.default_max_tokens.value_or(room));
  }
  check_length(plan, "messages");
  check_prompt_logprobs(plan);
  return plan;
}

AnswerPlan RequestPlanner::completion(std::string_view body, const std::string& key_name) const {
  const openai::CompletionRequest request = reader_.completion(body);
  AnswerPlan plan = begin(request, "cmpl-", key_name);
  plan.route = AnswerPlan::Route::completion;
  const bool is_list = request.prompts.size() > 1;
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    const std::string place = is_list ? detail::concat("prompt[", i, "]") : "prompt";
    plan.prompts.push_back(read_prompt(request.prompts[i], request, place));
  }
  set_stops(request, model_.text_stops, plan);
  check_ends(request, plan);
  plan.echo = request.echo;
  plan.logprobs = request.logprobs;
  plan.draw.num_logprobs = plan.logprobs;
  plan.max_tokens = request.max_tokens;
  check_length(plan, "prompt");
  check_prompt_logprobs(plan);
  return plan;
}

std::vector<int32_t> RequestPlanner::tokens_of(const openai::TokenizeRequest& request) const {
  if (!request.prompt) return render(request.template_request());
  const std::optional<int32_t> token = model_.tokenizer.token_id(*request.prompt);
  if (!request.add_special_tokens && token && model_.tokenizer.is_special(*token)) return {*token};
  return encode(*request.prompt, request.add_special_tokens, "prompt");
}

std::string RequestPlanner::tokenize(std::string_view body) const {
  const openai::TokenizeRequest request = reader_.tokenize(body);
  check_model(request.model);
  const std::vector<int32_t> tokens = tokens_of(request);
  std::optional<std::vector<std::string>> texts;
  if (request.return_token_strs) {
    texts.emplace();
    for (const int32_t id : tokens) texts->push_back(model_.tokenizer.token(id));
  }
  return openai::tokenized(tokens, model_.context, texts);
}

std::string RequestPlanner::detokenize(std::string_view body) const {
  const openai::DetokenizeRequest request = reader_.detokenize(body);
  check_model(request.model);
  return openai::detokenized(model_.tokenizer.decode(request.tokens));
}

}  // namespace longgen
