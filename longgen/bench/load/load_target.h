// bench/load/load_target.h: a server, with all that must be known of it before a load begins.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longgen/bench/load/length_mix.h"
#include "longgen/bench/load/prompt_maker.h"
#include "longgen/bench/load/request_form.h"
#include "longgen/bench/load/server_info.h"

namespace longgen {

// Ordinary tokens in every tokenizer that is known to us: special ones stand at the ends.
inline constexpr TokenRange kUsualIds = {1000, 30000};

struct TargetOptions {
  std::string url;
  HttpClient::Options client = {};
  Endpoint endpoint = Endpoint::completions;
  std::string model = {};  ///< empty: the first of the server's
  /// Prompts are made of these words; without them they are token ids.
  std::optional<WordPrompts::Source> words = {};
  TokenRange ids = kUsualIds;
};

class LoadTarget {
 public:
  /// Asks the server what it is, which fields it knows and, where prompts are words, how many
  /// tokens those have. Throws Error where it does not answer as OpenAI's API does.
  explicit LoadTarget(TargetOptions options);

  HttpClient& client() { return client_; }
  const ServerInfo& info() const { return info_; }
  const RequestForm& form() const { return negotiated_.form; }
  /// Fields that the server does not know.
  const std::vector<std::string>& refused() const { return negotiated_.refused; }
  PromptMaker& prompts() { return *prompts_; }

  /// Throws Error where a request is longer than the context that the server names.
  void check_context(const std::vector<PlannedRequest>& requests) const;

 private:
  std::unique_ptr<PromptMaker> make_prompts();

  TargetOptions options_;
  HttpClient client_;
  ServerInfo info_;
  Negotiated negotiated_;
  std::unique_ptr<PromptMaker> prompts_;
};

}  // namespace longgen
