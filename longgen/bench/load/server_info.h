// bench/load/server_info.h: what a server says of itself.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "longgen/bench/client/http_client.h"
#include "longgen/bench/load/prompt_maker.h"

namespace longgen {

struct ServerInfo {
  std::string model;                   ///< as asked, else the first that it lists
  std::string owner, header, version;  ///< owned_by, the header Server, /version; may be empty
  std::optional<int64_t> context;      ///< max_model_len

  /// "vllm 0.11.0 (uvicorn)"
  std::string name() const;
  bool is_longgen() const { return owner == "longgen"; }
};

/// Asks /v1/models and /version. Throws Error where the server does not answer, wants a key, or
/// does not have the model; an empty `model` takes the first.
ServerInfo ask_server(HttpClient& client, const std::string& model);

/// Returns the number of tokens that /tokenize makes of a text, or nothing where the server has no
/// such route; for chats with what the template puts around it, as far as the server renders it.
std::optional<int64_t> count_tokens(HttpClient& client, const std::string& model,
                                    const std::string& text);

/// The samples of a text in Prometheus's format, by name with the labels but for those that only
/// say which model it is; several of a name add up. Lines that are none are skipped.
std::map<std::string, double> parse_metrics(std::string_view text);

/// What the server's own counters say of a run, from how they were before it and after it.
struct ServerCounters {
  std::optional<double> hit_rate;  ///< tokens found in the prefix cache, of those looked up
  std::optional<double> predicted_over_measured;  ///< time of all steps
  /// Steps whose predicted time is 0.8 to 1.25 times the measured one, of all that were predicted.
  std::optional<double> share_predicted_well;
  std::optional<double> step_budget_seconds;
};
/// Asks /metrics; nothing where the server has none.
std::map<std::string, double> ask_metrics(HttpClient& client);
ServerCounters counters_between(const std::map<std::string, double>& before,
                                const std::map<std::string, double>& after);

}  // namespace longgen
