#include "longgen/bench/load/load_target.h"

#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

// A first prompt, before it is known how many tokens words have.
constexpr const char* kFewWords = "time and place";
constexpr int64_t kFewIds = 8;

std::string first_prompt(const TargetOptions& options) {
  if (options.words) return dump_json(Json(kFewWords));
  return IdPrompts(options.ids.low, options.ids.high + 1).json({.prompt = {{0, kFewIds}}});
}

}  // namespace

LoadTarget::LoadTarget(TargetOptions options)
    : options_(std::move(options)),
      client_(parse_server_url(options_.url), options_.client),
      info_(ask_server(client_, options_.model)),
      negotiated_(negotiate(client_, {.endpoint = options_.endpoint, .model = info_.model},
                            first_prompt(options_))),
      prompts_(make_prompts()) {}

std::unique_ptr<PromptMaker> LoadTarget::make_prompts() {
  if (!options_.words) {
    return std::make_unique<IdPrompts>(options_.ids.low, options_.ids.high + 1);
  }
  // Of a chat /tokenize would not count what the template adds.
  const bool has_tokenize = options_.endpoint == Endpoint::completions &&
                            count_tokens(client_, info_.model, kFewWords).has_value();
  const auto count = [this, has_tokenize](const std::string& text) -> int64_t {
    if (!has_tokenize) return count_by_usage(client_, form(), text);
    const std::optional<int64_t> tokens = count_tokens(client_, info_.model, text);
    LG_CHECK(tokens, "/tokenize counted three words and refuses ", format_count(std::ssize(text)),
             " bytes of text.");
    return *tokens;
  };
  return std::make_unique<WordPrompts>(*std::move(options_.words), count, has_tokenize);
}

void LoadTarget::check_context(const std::vector<PlannedRequest>& requests) const {
  for (const PlannedRequest& request : requests) {
    LG_CHECK(!info_.context || request.prompt_tokens() + request.reply_tokens <= *info_.context,
             "a prompt of ", format_count(request.prompt_tokens()), " tokens and a reply of ",
             format_count(request.reply_tokens), " are more than the context of ", info_.model,
             ", ", format_count(info_.context.value_or(0)), " (max_model_len). Ask for less.");
  }
}

}  // namespace longgen
