#include "longgen/report/paired.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "longgen/base/check.h"

namespace longgen {
namespace {

bool is_binary(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(),
                     [](double score) { return score == 0 || score == 1; });
}

Interval around(double center, double half) { return {center - half, center + half}; }

/// Gives Bonett and Price's interval: of `n` pairs, `gained` only the second model got right, and
/// `lost` only the first. One is added to each and two to n, as if one more pair of each kind had
/// been seen.
Interval bonett_price(double gained, double lost, double n) {
  const double up = (gained + 1) / (n + 2), down = (lost + 1) / (n + 2), center = up - down;
  const double half = kNormal95 * std::sqrt((up + down - center * center) / (n + 2));
  return {std::max(-1.0, center - half), std::min(1.0, center + half)};
}

}  // namespace

PairedDifference paired_difference(std::span<const double> first, std::span<const double> second) {
  LG_CHECK(first.size() == second.size(),
           "[paired_difference] expected as many scores of both models, found ", first.size(),
           " and ", second.size(), ".");
  if (first.empty()) return {};
  std::vector<DocumentPair> items;
  double gained = 0, lost = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    items.push_back({first[i], second[i], 1});
    gained += second[i] > first[i] ? 1 : 0;
    lost += second[i] < first[i] ? 1 : 0;
  }
  PairedDifference result = paired_difference(items);  // items of one token each
  if (first.size() >= 2 && is_binary(first) && is_binary(second)) {
    result.interval = bonett_price(gained, lost, static_cast<double>(first.size()));
  }
  return result;
}

PairedDifference paired_difference(std::span<const DocumentPair> documents) {
  double sum = 0, tokens = 0;
  for (const DocumentPair& document : documents) {
    LG_CHECK(document.num_tokens >= 1, "[paired_difference] expected documents of at least one ",
             "token, found one of ", document.num_tokens, ".");
    LG_CHECK(std::isfinite(document.first) && std::isfinite(document.second),
             "[paired_difference] expected finite scores, found ", document.first, " and ",
             document.second, ".");
    sum += document.second - document.first;
    tokens += static_cast<double>(document.num_tokens);
  }
  if (documents.empty()) return {};
  PairedDifference result{.num_items = static_cast<int64_t>(documents.size()),
                          .mean = sum / tokens,
                          .interval = std::nullopt};
  if (documents.size() < 2) return result;
  double squares = 0, size = 0;
  for (const DocumentPair& document : documents) {
    const double expected = result.mean * static_cast<double>(document.num_tokens);
    const double residual = document.second - document.first - expected;
    squares += residual * residual;
    size = std::max({size, std::abs(document.first), std::abs(document.second)});
  }
  const auto n = static_cast<double>(documents.size());
  const double half = student95(result.num_items - 1) * std::sqrt(squares * n / (n - 1)) / tokens;
  // Differences that are all equal but for rounding say nothing about how they vary.
  constexpr double kRounding = 1e-13;
  if (half * tokens > kRounding * size * n) result.interval = around(result.mean, half);
  return result;
}

PairedDifference perplexity_percent(const PairedDifference& nll) {
  const auto percent = [](double nats) { return 100 * std::expm1(nats); };
  PairedDifference result = nll;
  result.mean = percent(nll.mean);
  if (nll.interval) result.interval = {percent(nll.interval->low), percent(nll.interval->high)};
  return result;
}

PairedDifference average_difference(std::span<const PairedDifference> tasks) {
  LG_CHECK(!tasks.empty(), "[average_difference] expected at least one task, found none.");
  const auto n = static_cast<double>(tasks.size());
  PairedDifference result;
  double squares = 0;
  bool known = true;
  for (const PairedDifference& task : tasks) {
    result.num_items += task.num_items;
    result.mean += task.mean / n;
    known = known && task.interval;
    if (!task.interval) continue;
    const double half = (task.interval->high - task.interval->low) / 2;
    squares += half * half;
  }
  if (known) result.interval = around(result.mean, std::sqrt(squares) / n);
  return result;
}

std::string signed_text(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  if (std::abs(value) >= 1e6) return fmt::format("{:+.4g}", value);
  const std::string text = fmt::format("{:+.{}f}", value, digits);
  const bool is_zero = text.find_first_of("123456789") == std::string::npos;
  return is_zero ? text.substr(1) : text;
}

std::string interval_text(const std::optional<Interval>& interval, int digits, double scale) {
  if (!interval) return "";
  return signed_text(scale * interval->low, digits) + " to " +
         signed_text(scale * interval->high, digits);
}

std::string difference_text(const PairedDifference& difference, int digits, const std::string& unit,
                            double scale) {
  if (difference.num_items == 0 || !std::isfinite(difference.mean)) return "-";
  const std::string mean = signed_text(scale * difference.mean, digits) + unit;
  const std::string interval = interval_text(difference.interval, digits, scale);
  return interval.empty() ? mean : mean + " (" + interval + ")";
}

}  // namespace longgen
