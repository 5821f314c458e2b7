// serve/server_state.h: what a server says of itself, as JSON.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/serve/engine_state.h"
#include "longgen/serve/metrics/request_metrics.h"
#include "longgen/serve/served_model.h"

namespace longgen {

struct HealthAnswer {
  int status;  ///< 200 where requests are taken, else 503
  std::string body;
};
/// Makes the answer of /health: {"status": "ok"}, or why not.
HealthAnswer health_answer(const EngineState& engine, bool is_draining);

/// What the server has beside its engine.
struct ServerCounts {
  bool is_draining = false;
  int64_t num_connections = 0;
  int64_t num_answers = 0;  ///< in the making
};
/// Makes the answer of /server/state. Requests are named by number: their texts, and whose they
/// are, are not in it.
std::string state_json(const ServedModel& model, const EngineState& engine,
                       const ServerCounts& counts);

/// Makes the answer of /metrics, in the text format of Prometheus and under the names of vLLM where
/// it has one.
std::string metrics_text(const std::string& model, const EngineState& engine,
                         const RequestMetrics& requests);

}  // namespace longgen
