#include "longgen/measure/variant_values.h"

#include <cmath>
#include <limits>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 40;
constexpr double kMostNats = 1e15;

double mean(double sum, int64_t count) { return count > 0 ? sum / static_cast<double>(count) : 0; }

}  // namespace

FarTextSums& FarTextSums::operator+=(const FarTextSums& other) {
  num_tokens += other.num_tokens;
  nll += other.nll;
  kl += other.kl;
  return *this;
}

VariantValues& VariantValues::operator+=(const VariantValues& other) {
  if (ranges.empty()) ranges.resize(other.ranges.size());
  LG_DCHECK(ranges.size() == other.ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) ranges[i] += other.ranges[i];
  num_answers += other.num_answers;
  num_answer_tokens += other.num_answer_tokens;
  num_right += other.num_right;
  answer_logprob += other.answer_logprob;
  return *this;
}

FarTextSums VariantValues::far_text() const {
  FarTextSums sum;
  for (const FarTextSums& range : ranges) sum += range;
  return sum;
}

double VariantValues::far_nll() const {
  const FarTextSums sum = far_text();
  return mean(sum.nll, sum.num_tokens);
}

double VariantValues::far_kl() const {
  const FarTextSums sum = far_text();
  return mean(sum.kl, sum.num_tokens);
}

double VariantValues::logprob_of_answers() const { return mean(answer_logprob, num_answer_tokens); }

double perplexity_over(const VariantValues& variant, const VariantValues& full) {
  return std::expm1(variant.far_nll() - full.far_nll());
}

std::vector<int64_t> far_text_edges(int64_t first_far, int64_t length) {
  LG_DCHECK(0 < first_far && first_far < length);
  std::vector<int64_t> edges = {first_far};
  while (edges.back() < length) {
    edges.push_back(edges.back() > length / 2 ? length : 2 * edges.back());
  }
  return edges;
}

OrderedJson to_json(const VariantValues& values) {
  OrderedJson ranges = OrderedJson::array();
  for (const FarTextSums& range : values.ranges) {
    ranges.push_back({{"tokens", range.num_tokens}, {"nll", range.nll}, {"kl", range.kl}});
  }
  return {{"far_text", ranges},
          {"answers", values.num_answers},
          {"answer_tokens", values.num_answer_tokens},
          {"right", values.num_right},
          {"answer_logprob", values.answer_logprob}};
}

VariantValues values_from_json(const JsonObject& json) {
  VariantValues values;
  const Json& ranges = json.raw("far_text");
  LG_CHECK(ranges.is_array(), json.where("far_text"), ": expected a list.");
  for (const Json& entry : ranges) {
    const JsonObject range(entry, json.source(), "far_text");
    values.ranges.push_back({.num_tokens = range.integer("tokens", 0, kMostTokens),
                             .nll = range.number("nll", -kMostNats, kMostNats),
                             .kl = range.number("kl", -kMostNats, kMostNats)});
  }
  values.num_answers = json.integer("answers", 0, kMostTokens);
  values.num_answer_tokens = json.integer("answer_tokens", 0, kMostTokens);
  values.num_right = json.integer("right", 0, values.num_answers);
  values.answer_logprob = json.number("answer_logprob", -kMostNats, kMostNats);
  return values;
}

}  // namespace longgen
