#include "longgen/measure/gate_slopes.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"

namespace longgen {
namespace {

void add_each(std::vector<double>& sums, const std::vector<double>& more) {
  if (sums.empty()) sums.resize(more.size());
  LG_DCHECK(sums.size() == more.size());
  std::transform(sums.begin(), sums.end(), more.begin(), sums.begin(), std::plus<>());
}

std::vector<double> read_numbers(const JsonObject& json, const std::string& key, size_t count) {
  const Json& list = json.raw(key);
  const bool are_numbers =
      list.is_array() &&
      std::all_of(list.begin(), list.end(), [](const Json& value) { return value.is_number(); });
  LG_CHECK(are_numbers && list.size() == count, json.where(key), ": expected a list of ", count,
           " numbers.");
  return list.get<std::vector<double>>();
}

}  // namespace

GateSlopes& GateSlopes::operator+=(const GateSlopes& other) {
  add_each(kl, other.kl);
  add_each(answers, other.answers);
  return *this;
}

bool GateSlopes::are_finite() const {
  const auto is_finite = [](double slope) { return std::isfinite(slope); };
  return std::all_of(kl.begin(), kl.end(), is_finite) &&
         std::all_of(answers.begin(), answers.end(), is_finite);
}

OrderedJson to_json(const GateSlopes& slopes) {
  return {{"at", kHalfOpen}, {"kl", slopes.kl}, {"answers", slopes.answers}};
}

GateSlopes gate_slopes_from_json(const JsonObject& json, size_t num_units) {
  json.number("at", kHalfOpen, kHalfOpen);
  return {read_numbers(json, "kl", num_units), read_numbers(json, "answers", num_units)};
}

}  // namespace longgen
