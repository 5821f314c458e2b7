// eval/suite/item_result.h: what is kept of a model's answer to one item, in memory and as a line.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/eval/suite/item.h"

namespace longgen {

struct ItemResult {
  std::string id;
  std::vector<std::pair<std::string, double>> scores;  ///< by name; a reply may have none
  bool truncated = false;                              ///< the model did not get the whole context
  /// What else is kept: log-likelihoods, or the reply.
  OrderedJson details = OrderedJson::object();

  /// Null where it has no score of this name.
  const double* score(const std::string& name) const;
};

/// {"id", "scores", "truncated", and the details}.
OrderedJson item_json(const ItemResult& result);
/// Reads it back. Throws Error naming the field.
ItemResult parse_item_result(const JsonObject& line);

/// How probable a model found a continuation.
struct ContinuationScore {
  double loglikelihood = 0;  ///< nats
  bool greedy = false;       ///< each of its tokens was the most probable one
};

/// Scores the answers to an item as lm-eval does: "acc" is the most probable choice, "acc_norm"
/// the one of most log-likelihood a character (the space before it does not count), of equal ones
/// the first. Of one choice alone "acc" is whether it is greedy, and "nll" its negative
/// log-likelihood.
ItemResult choice_result(const ChoiceItem& item, const std::vector<ContinuationScore>& choices,
                         bool truncated);

/// Scores a reply: "score" and the item's other ones. `end` says why it ended.
ItemResult reply_result(const GenerationItem& item, const std::string& reply,
                        const std::string& end, bool truncated);

}  // namespace longgen
