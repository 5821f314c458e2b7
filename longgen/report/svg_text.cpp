#include "longgen/report/svg_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

bool may_stand_in_xml(uint32_t c) {
  const bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
  const bool direction = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  return !control && !direction && c != 0xFFFE && c != 0xFFFF;
}

constexpr uint32_t kReplacement = 0xFFFD;

}  // namespace

std::string escape_xml(std::string_view text) {
  const std::string valid = replace_invalid_utf8(text);
  std::string escaped;
  for (size_t at = 0; at < valid.size();) {
    const Utf8Char c = decode_utf8(valid, at);
    at += c.length;
    switch (c.code_point) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        append_utf8(may_stand_in_xml(c.code_point) ? c.code_point : kReplacement, escaped);
    }
  }
  return escaped;
}

std::string shortened(std::string_view text, int64_t max_chars) {
  const std::string valid = replace_invalid_utf8(text);
  if (static_cast<int64_t>(count_utf8(valid)) <= max_chars) return valid;
  size_t end = 0;
  for (int64_t i = 0; i + 1 < max_chars; ++i) end += decode_utf8(valid, end).length;
  return valid.substr(0, end) + "…";
}

std::string coordinate(double value) {
  std::string text = fmt::format("{:.2f}", value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::vector<double> round_ticks(double low, double high, int64_t count) {
  LG_CHECK(std::isfinite(low) && std::isfinite(high) && low < high && count >= 1,
           "[round_ticks] expected finite ends that ascend, found ", low, " and ", high, ".");
  const double rough = (high - low) / static_cast<double>(count);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double ratio = rough / power;
  const double step = power * (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
  const double most = 3 * static_cast<double>(count);  // where neighbours are too near for a double
  for (double i = 0; i <= std::min(last - first, most); ++i) {
    ticks.push_back((first + i) * step + 0.0);  // not -0
  }
  return ticks;
}

std::vector<double> logarithmic_ticks(double low, double high) {
  LG_CHECK(low > 0 && low < high && std::isfinite(high),
           "[logarithmic_ticks] expected ends above 0 that ascend, found ", low, " and ", high,
           ".");
  constexpr double kManyDecades = 4, kMaxPowers = 10;
  const double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
  const double step = std::ceil((last - first) / kMaxPowers);
  std::vector<double> ticks;
  for (double power = first; power <= last; power += step) {
    for (const double digit : {1, 2, 5}) {
      const double value = digit * std::pow(10, power);
      const bool wanted = digit == 1 || last - first <= kManyDecades;
      if (wanted && value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) ticks.push_back(value);
    }
  }
  return ticks;
}

std::vector<std::string> tick_labels(const std::vector<double>& values) {
  constexpr int kMaxDecimals = 6;
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  int decimals = 0;
  const auto is_exact = [&](double value) {
    const double power = std::pow(10, decimals);
    return std::abs(std::round(value * power) / power - value) <= 1e-9 * largest;
  };
  while (decimals <= kMaxDecimals && !std::all_of(values.begin(), values.end(), is_exact)) {
    ++decimals;
  }
  const bool exponents = largest >= 1e6 || decimals > kMaxDecimals;
  std::vector<std::string> labels;
  for (const double value : values) {
    labels.push_back(exponents ? fmt::format("{:.3g}", value)
                               : fmt::format("{:.{}f}", value, decimals));
  }
  return labels;
}

std::string figure_text(double value, int decimals) {
  return std::abs(value) < 1e6 ? fmt::format("{:.{}f}", value, decimals)
                               : fmt::format("{:.4g}", value);
}

double label_width(std::string_view text) {
  constexpr double kPixelsPerChar = 6.8;  // digits of common sans-serif fonts at 12 pixels
  return kPixelsPerChar * static_cast<double>(count_utf8(replace_invalid_utf8(text)));
}

}  // namespace longgen
