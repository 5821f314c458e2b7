#include "longgen/cli/document_token_options.h"

#include "longgen/base/check.h"

namespace longgen {
namespace {

/// Gives the id of a token given by name, or the model's where none is given. "none" gives none.
std::optional<int32_t> chosen(const Tokenizer& tokenizer, const std::string& option,
                              const std::string& name, std::optional<int32_t> of_model) {
  if (name.empty()) return of_model;
  if (name == "none") return std::nullopt;
  const std::optional<int32_t> id = tokenizer.token_id(name);
  LG_CHECK(id, option, ": expected a token of the model's tokenizer.json or none, found \"", name,
           "\".");
  return id;
}

}  // namespace

DocumentTokens choose_document_tokens(const Tokenizer& tokenizer, const std::string& model,
                                      const DocumentTokenOptions& options) {
  DocumentTokens of_model;
  if (options.begin.empty() || options.end.empty()) {
    of_model = find_document_tokens(tokenizer, model);
  }
  DocumentTokens tokens;
  tokens.begin = chosen(tokenizer, "--begin-token", options.begin, of_model.begin);
  tokens.end = chosen(tokenizer, "--end-token", options.end, of_model.end);
  LG_CHECK(tokens.end || options.end == "none", model,
           ": neither generation_config.json, config.json nor tokenizer_config.json names an "
           "end-of-text token. Pass --end-token TOKEN, or --end-token none to write none.");
  check_in_model(tokens, tokenizer, model);
  return tokens;
}

void add_document_token_options(CLI::App* app, DocumentTokenOptions& options) {
  app->add_option("--begin-token", options.begin,
                  "token before each document, or none (default: what the tokenizer puts before a "
                  "text, if anything)")
      ->option_text("TOKEN");
  app->add_option("--end-token", options.end,
                  "token after each document, or none (default: what the tokenizer puts after a "
                  "text, else the eos token of generation_config.json, config.json or "
                  "tokenizer_config.json; of several the first). Chat models often name the end of "
                  "a turn there")
      ->option_text("TOKEN");
}

}  // namespace longgen
