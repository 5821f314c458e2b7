// bench/load/goal.h: what a reply must keep to, to count.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "longgen/bench/load/request_record.h"

namespace longgen {

struct Goal {
  std::optional<double> first_token = {}, token = {}, answer = {};  ///< seconds, at most

  /// Reads "ttft=500ms,tpot=50ms,e2e=10s", of which any may be missing: the first token, a further
  /// token on average, the whole answer. Throws Error on anything else.
  static Goal parse(std::string_view text);

  /// A reply that is whole and keeps to all of it.
  bool is_met_by(const RequestRecord& record) const;
};

}  // namespace longgen
