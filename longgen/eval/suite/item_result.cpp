#include "longgen/eval/suite/item_result.h"

#include <algorithm>
#include <limits>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

int64_t index_of_largest(const std::vector<double>& values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

/// Counts characters, without the space that joins a choice to its context.
double num_characters(const std::string& text) {
  const size_t count = count_utf8(replace_invalid_utf8(text));
  return static_cast<double>(std::max<size_t>(1, count - (text.starts_with(' ') ? 1 : 0)));
}

}  // namespace

const double* ItemResult::score(const std::string& name) const {
  const auto found = std::find_if(scores.begin(), scores.end(),
                                  [&](const auto& score) { return score.first == name; });
  return found == scores.end() ? nullptr : &found->second;
}

OrderedJson item_json(const ItemResult& result) {
  OrderedJson scores = OrderedJson::object();
  for (const auto& [name, value] : result.scores) scores[name] = value;
  OrderedJson json = {{"id", result.id}, {"scores", scores}, {"truncated", result.truncated}};
  json.update(result.details);
  return json;
}

ItemResult parse_item_result(const JsonObject& line) {
  ItemResult result;
  result.id = line.string("id");
  result.truncated = line.boolean("truncated", false);
  const JsonObject scores = line.object("scores");
  constexpr double kAny = std::numeric_limits<double>::max();
  for (const auto& [name, value] : scores.value().items()) {
    result.scores.emplace_back(name, scores.number(name, -kAny, kAny));
  }
  for (const auto& [name, value] : line.value().items()) {
    if (name != "id" && name != "truncated" && name != "scores") result.details[name] = value;
  }
  return result;
}

ItemResult choice_result(const ChoiceItem& item, const std::vector<ContinuationScore>& choices,
                         bool truncated) {
  LG_DCHECK(choices.size() == item.choices.size() && !choices.empty());
  ItemResult result{.id = item.id, .scores = {}, .truncated = truncated};
  std::vector<double> sums, normalized;
  OrderedJson greedy = OrderedJson::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    sums.push_back(choices[i].loglikelihood);
    normalized.push_back(choices[i].loglikelihood / num_characters(item.choices[i].text));
    greedy.push_back(choices[i].greedy);
  }
  if (choices.size() == 1) {
    result.scores = {{"acc", choices[0].greedy ? 1 : 0}, {"nll", -choices[0].loglikelihood}};
  } else {
    result.scores = {{"acc", index_of_largest(sums) == item.gold ? 1 : 0},
                     {"acc_norm", index_of_largest(normalized) == item.gold ? 1 : 0}};
  }
  result.details = {{"gold", item.gold}, {"loglikelihoods", sums}, {"greedy", greedy}};
  return result;
}

ItemResult reply_result(const GenerationItem& item, const std::string& reply,
                        const std::string& end, bool truncated) {
  ItemResult result{.id = item.id, .scores = {}, .truncated = truncated};
  if (item.score) result.scores.emplace_back("score", item.score(reply));
  for (const auto& [name, score] : item.more_scores) result.scores.emplace_back(name, score(reply));
  result.details = {{"reply", reply}, {"end", end}, {"references", item.references}};
  return result;
}

}  // namespace longgen
